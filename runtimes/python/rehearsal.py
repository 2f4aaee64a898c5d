"""A function that does nothing: what a blank runs once, so that the first real function finds everything warm."""


def handler(event, context):
    """Gives the event back."""
    return {"event": event, "request": context.aws_request_id}
