"""Makes a thumbnail of a PNG or JPEG image, with Pillow."""

import base64
import io

from PIL import Image

LARGEST_SIDE = 512


def handler(event, context):
    """Expects {"image": base64, "side": pixels}; answers the thumbnail in the format of the image."""
    side = int(event.get("side", 64))
    if not 1 <= side <= LARGEST_SIDE:
        raise ValueError(f'"side" must be 1 to {LARGEST_SIDE} pixels')
    with Image.open(io.BytesIO(base64.b64decode(event["image"], validate=True)), formats=("PNG", "JPEG")) as image:
        kind, original = image.format, image.size
        image.thumbnail((side, side))
        thumbnail = io.BytesIO()
        image.save(thumbnail, format=kind)
        size = image.size
    print(f"{kind} {original[0]}x{original[1]} -> {size[0]}x{size[1]}")
    return {
        "format": kind,
        "original": original,
        "size": size,
        "thumbnail": base64.b64encode(thumbnail.getvalue()).decode("ascii"),
    }
