"""ARNs as the server writes them."""

from harness.server import ACCOUNT, REGION


def arn_of(name: str, qualifier: str | None = None) -> str:
    """The ARN of a function, of one of its versions, or of one of its aliases."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    return arn if qualifier is None else f"{arn}:{qualifier}"
