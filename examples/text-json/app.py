"""Statistics of a text: JSON in, JSON out."""

import re
from collections import Counter

WORDS_PER_MINUTE = 230


def handler(event, context):
    """Expects {"text": "..."}; answers counts, the most frequent words and the time to read it."""
    text = event.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError('the event must have a "text" that is not empty')
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())
    print(f"{len(words)} words, {context.get_remaining_time_in_millis()} ms left")
    return {
        "characters": len(text),
        "words": len(words),
        "sentences": len(re.findall(r"[.!?]+", text)) or 1,
        "most_frequent": Counter(words).most_common(3),
        "reading_seconds": round(len(words) * 60 / WORDS_PER_MINUTE, 1),
        "function": context.function_name,
    }
