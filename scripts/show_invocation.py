"""Prints the answer of one `wuwei invoke --json` (on standard input) for people; exits with 1 when it is an error.

`show_invocation.py LABEL [IMAGE]`: a `thumbnail` in the answer is checked to be an image and written to IMAGE.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
SHOWN = 160


def save_thumbnail(payload: dict[str, object], path: Path) -> bool:
    """Writes the image of an answer; replaces it there by a short remark."""
    if "thumbnail" not in payload:
        return False
    image = base64.b64decode(str(payload["thumbnail"]))
    payload["thumbnail"] = f"<{len(image)} bytes in {path}>"
    path.write_bytes(image)
    return image.startswith(IMAGE_STARTS)


def main(label: str, image: str | None = None) -> int:
    """Prints the answer, and what the call used."""
    text = sys.stdin.read()
    if not text.strip():
        print(f"  {label}: no answer")
        return 1
    result = json.loads(text)
    payload, report = result["payload"], result["report"]
    good = result["function_error"] is None
    if good and image and isinstance(payload, dict):
        good = save_thumbnail(payload, Path(image))
    shown = json.dumps(payload, ensure_ascii=False)
    print(f"  {label}: {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}")
    if report:
        cold = f"cold start {report['init_ms']:.2f} ms" if report["init_ms"] is not None else "warm"
        print(f"  {'':{len(label)}}  {report['duration_ms']:.2f} ms, {cold}, billed {report['billed_ms']} ms")
    if not good:
        print(f"  {'':{len(label)}}  function error: {result['function_error'] or 'the answer holds no image'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
