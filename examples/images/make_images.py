"""Makes the two small images of this directory and the thumbnailer's example event. Needs Pillow."""

import base64
import json
import math
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
SIDE = 160


def gradient(x: int, y: int) -> tuple[int, int, int]:
    """Red grows to the right, green downwards; blue is a chessboard of 20 pixels."""
    return x * 255 // (SIDE - 1), y * 255 // (SIDE - 1), 200 if (x // 20 + y // 20) % 2 else 40


def rings(x: int, y: int) -> tuple[int, int, int]:
    """Rings around the middle."""
    wave = math.cos(math.hypot(x - SIDE / 2, y - SIDE / 2) / 5)
    return round(127 + 120 * wave), 90, round(127 - 120 * wave)


def main() -> None:
    """Writes `gradient.png`, `rings.jpg` and `../thumbnailer/event.json`."""
    for name, paint in (("gradient.png", gradient), ("rings.jpg", rings)):
        image = Image.new("RGB", (SIDE, SIDE))
        for y in range(SIDE):
            for x in range(SIDE):
                image.putpixel((x, y), paint(x, y))
        image.save(HERE / name)
    encoded = base64.b64encode((HERE / "gradient.png").read_bytes()).decode("ascii")
    event = HERE.parent / "thumbnailer" / "event.json"
    event.write_text(json.dumps({"side": 64, "image": encoded}) + "\n")


if __name__ == "__main__":
    main()
