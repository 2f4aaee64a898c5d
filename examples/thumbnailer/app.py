"""Makes a thumbnail of a PNG or JPEG image, with Pillow: of an event, or of a request to the function's URL."""

import base64
import io

from PIL import Image, UnidentifiedImageError

LARGEST_SIDE = 512


def thumbnail(data, side):
    """The thumbnail in the format of the image, the format, and both sizes."""
    if not 1 <= side <= LARGEST_SIDE:
        raise ValueError(f'"side" must be 1 to {LARGEST_SIDE} pixels')
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        kind, original = image.format, image.size
        image.thumbnail((side, side))
        small = io.BytesIO()
        image.save(small, format=kind)
        size = image.size
    print(f"{kind} {original[0]}x{original[1]} -> {size[0]}x{size[1]}")
    return small.getvalue(), kind, original, size


def over_http(event):
    """POST an image to /?side=64: bytes in, bytes out."""
    try:
        side = int(event.get("queryStringParameters", {}).get("side", 64))
        data = base64.b64decode(event.get("body", "")) if event["isBase64Encoded"] else b""
        small, kind, _, _ = thumbnail(data, side)
    except (ValueError, UnidentifiedImageError) as error:
        return {"statusCode": 400, "headers": {"content-type": "text/plain"}, "body": f"{error}\n"}
    return {
        "statusCode": 200,
        "headers": {"content-type": f"image/{kind.lower()}"},
        "body": base64.b64encode(small).decode("ascii"),
        "isBase64Encoded": True,
    }


def handler(event, context):
    """Expects {"image": base64, "side": pixels}, or a request; answers the thumbnail in the format of the image."""
    if "requestContext" in event:
        return over_http(event)
    data = base64.b64decode(event["image"], validate=True)
    small, kind, original, size = thumbnail(data, int(event.get("side", 64)))
    return {"format": kind, "original": original, "size": size, "thumbnail": base64.b64encode(small).decode("ascii")}
