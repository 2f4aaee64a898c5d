"""Texts that match a regular expression: what its parsed form allows, by chance."""

import random
import re._constants as codes
import re._parser as parser
import string
from collections.abc import Iterable
from typing import Any

REPEATS_MAX = 12
"""Repetitions beyond the least that an expression asks for."""
PRINTABLE = "".join(character for character in string.printable if character not in "\r\n\x0b\x0c")
CATEGORIES = {
    codes.CATEGORY_DIGIT: string.digits,
    codes.CATEGORY_SPACE: " \t",
    codes.CATEGORY_WORD: string.ascii_letters + string.digits + "_",
}


def text_matching(pattern: str, chance: random.Random) -> str:
    """A text of the expression. Conditions that look around are not heeded: now and then it does not match."""
    return "".join(_text(pattern_part, chance) for pattern_part in parser.parse(pattern))


def _text(part: tuple[Any, Any], chance: random.Random) -> str:
    code, value = part
    if code is codes.LITERAL:
        return chr(value)
    if code is codes.ANY:
        return chance.choice(PRINTABLE)
    if code is codes.NOT_LITERAL:
        return chance.choice([character for character in PRINTABLE if ord(character) != value])
    if code is codes.IN:
        return chance.choice(_characters(value))
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        least, most, inner = value
        count = chance.randint(least, max(least, min(most, least + REPEATS_MAX)))
        return "".join(_text(each, chance) for _ in range(count) for each in inner)
    if code is codes.SUBPATTERN:
        return "".join(_text(each, chance) for each in value[-1])
    if code is codes.BRANCH:
        return "".join(_text(each, chance) for each in chance.choice(value[1]))
    return ""


def _characters(members: Iterable[tuple[Any, Any]]) -> str:
    found: set[str] = set()
    negated = False
    for code, value in members:
        if code is codes.NEGATE:
            negated = True
        elif code is codes.LITERAL:
            found.add(chr(value))
        elif code is codes.RANGE:
            found |= {chr(number) for number in range(value[0], min(value[1], 0x17F) + 1)}
        elif value in CATEGORIES:
            found |= set(CATEGORIES[value])
        else:
            found |= set(PRINTABLE)
    allowed = set(PRINTABLE) - found if negated else found
    return "".join(sorted(allowed)) or "x"
