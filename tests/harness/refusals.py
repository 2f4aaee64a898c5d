"""Errors that the API answers, as values to compare."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Refusal:
    """Status, error name and message of an answer."""

    status: int
    error: str
    message: str


def refusal(action: Callable[..., object], **parameters: Any) -> Refusal:
    """The error that a boto3 call gets; a call that succeeds fails the test."""
    try:
        answer = action(**parameters)
    except ClientError as error:
        return Refusal(
            error.response["ResponseMetadata"]["HTTPStatusCode"],
            error.response["Error"]["Code"],
            error.response["Error"]["Message"],
        )
    raise AssertionError(f"accepted, with: {answer!r}")


def invalid_parameter(message: str) -> Refusal:
    """AWS's answer to a value that it does not take."""
    return Refusal(400, "InvalidParameterValueException", message)


def violation(value: str, member: str, constraint: str) -> Refusal:
    """AWS's answer to one value outside the constraints of its service model."""
    text = f"1 validation error detected: {value} at '{member}' failed to satisfy constraint: {constraint}"
    return Refusal(400, "ValidationException", text)


def not_found(arn: str) -> Refusal:
    """AWS's answer when there is no such function or version."""
    return Refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")
