"""The unmodified `aws` command, pointed at the server by `wuwei env` alone."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.functions import ECHO, unique_name
from harness.packages import zip_of
from harness.server import ACCOUNT, REGION, ROLE, Server
from harness.tools import Finished, aws_program, plain_environment, run


class Aws:
    """Runs `aws` with the variables of `wuwei env`."""

    def __init__(self, server: Server, home: Path) -> None:
        quiet = {"AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "HOME": str(home)}
        self._environment = plain_environment() | server.environment() | quiet

    def __call__(self, *arguments: str) -> Finished:
        """Runs to the end, whatever the end is."""
        return run([aws_program(), *arguments, "--output", "json"], self._environment)

    def json(self, *arguments: str) -> Any:
        """Runs, demands success, reads the output."""
        return json.loads(self(*arguments).ok().output)


@pytest.fixture(scope="module")
def aws(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """The command."""
    return Aws(server, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def deployed(aws: Aws, python_runtime: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A function that `aws lambda create-function` made and `aws lambda wait` waited for."""
    path = tmp_path_factory.mktemp("package") / "package.zip"
    path.write_bytes(zip_of({"app.py": ECHO}))
    name = unique_name("aws-cli")
    made = aws.json(
        "lambda", "create-function", "--function-name", name, "--runtime", python_runtime, "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{path}", "--timeout", "5",
    )  # fmt: skip
    assert (made["State"], made["FunctionName"]) == ("Pending", name)
    aws("lambda", "wait", "function-active-v2", "--function-name", name).ok()
    return name


def test_sts_names_the_account(aws: Aws) -> None:
    identity = aws.json("sts", "get-caller-identity")
    assert identity["Account"] == ACCOUNT and identity["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:user/")


def test_a_function_is_found_and_listed(aws: Aws, deployed: str) -> None:
    found = aws.json("lambda", "get-function", "--function-name", deployed)
    assert found["Configuration"]["State"] == "Active" and found["Code"]["Location"].startswith("http")
    listed = aws.json("lambda", "list-functions", "--page-size", "2")["Functions"]
    assert deployed in {entry["FunctionName"] for entry in listed}
    limited = aws.json("lambda", "list-functions", "--max-items", "1")
    assert len(limited["Functions"]) == 1


def test_a_function_is_invoked(aws: Aws, deployed: str, tmp_path: Path) -> None:
    output = tmp_path / "answer.json"
    answer = aws.json(
        "lambda", "invoke", "--function-name", deployed, "--payload", '{"through": "the aws command"}',
        "--log-type", "Tail", str(output),
    )  # fmt: skip
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST") and answer["LogResult"]
    assert json.loads(output.read_text()) == {"through": "the aws command"}


def test_a_function_is_updated_and_published(aws: Aws, deployed: str) -> None:
    aws("lambda", "update-function-configuration", "--function-name", deployed, "--timeout", "6").ok()
    aws("lambda", "wait", "function-updated-v2", "--function-name", deployed).ok()
    assert aws.json("lambda", "get-function-configuration", "--function-name", deployed)["Timeout"] == 6
    version = aws.json("lambda", "publish-version", "--function-name", deployed)
    assert version["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{deployed}:{version['Version']}"
    listed = aws.json("lambda", "list-versions-by-function", "--function-name", deployed)["Versions"]
    assert version["Version"] in {entry["Version"] for entry in listed}


def test_an_error_is_shown_as_the_command_shows_awss(aws: Aws) -> None:
    finished = aws("lambda", "get-function", "--function-name", "nobody-here")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nobody-here"
    begin = "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: "
    assert finished.status == 255 and f"{begin}Function not found: {arn}" in finished.errors, finished


def test_a_function_is_deleted(aws: Aws, python_runtime: str, tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(zip_of({"app.py": ECHO}))
    name = unique_name("aws-cli-deleted")
    aws(
        "lambda", "create-function", "--function-name", name, "--runtime", python_runtime, "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{path}",
    ).ok()  # fmt: skip
    aws("lambda", "wait", "function-exists", "--function-name", name).ok()
    aws("lambda", "delete-function", "--function-name", name).ok()
    assert aws("lambda", "get-function", "--function-name", name).status == 255


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["update-function-configuration", "--timeout", "901"], "ValidationException"),
        (["update-function-configuration", "--timeout", "5", "--revision-id", "stale"], "PreconditionFailedException"),
        (["update-function-code", "--zip-file", "fileb://{package}"], "InvalidParameterValueException"),
        (["publish-version", "--code-sha256", "A" * 43 + "="], "InvalidParameterValueException"),
        (["get-function", "--qualifier", "99"], "ResourceNotFoundException"),
        (["delete-function", "--qualifier", "$LATEST"], "InvalidParameterValueException"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_bad_input_is_refused_with_awss_error(
    aws: Aws, deployed: str, tmp_path: Path, arguments: list[str], error: str
) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(zip_of({"../escaped": "x"}))
    command = [argument.format(package=broken) for argument in arguments]
    finished = aws("lambda", command[0], "--function-name", deployed, *command[1:])
    assert finished.status == 255 and f"An error occurred ({error}) when calling" in finished.errors, finished


def test_new_code_is_uploaded_and_downloaded(aws: Aws, python_runtime: str, tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    package.write_bytes(zip_of({"app.py": ECHO}))
    name = unique_name("aws-cli-code")
    aws(
        "lambda", "create-function", "--function-name", name, "--runtime", python_runtime, "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{package}", "--publish",
    ).ok()  # fmt: skip
    aws("lambda", "wait", "function-active-v2", "--function-name", name).ok()
    package.write_bytes(zip_of({"app.py": "def handler(event, context):\n    return 'new'\n"}))
    aws("lambda", "update-function-code", "--function-name", name, "--zip-file", f"fileb://{package}").ok()
    aws("lambda", "wait", "function-updated-v2", "--function-name", name).ok()
    output = tmp_path / "answer.json"
    for qualifier, expected in (("$LATEST", "new"), ("1", {})):
        aws(
            "lambda", "invoke", "--function-name", name, "--qualifier", qualifier, "--payload", "{}", str(output)
        ).ok()  # fmt: skip
        assert json.loads(output.read_text()) == expected
    location = aws.json("lambda", "get-function", "--function-name", name)["Code"]["Location"]
    with urllib.request.urlopen(location, timeout=30) as download:
        assert download.read() == package.read_bytes()


def test_a_dry_run_and_a_failed_call_are_told_apart(aws: Aws, deployed: str, tmp_path: Path) -> None:
    dry = aws.json(
        "lambda", "invoke", "--function-name", deployed, "--invocation-type", "DryRun", str(tmp_path / "none")
    )  # fmt: skip
    assert dry["StatusCode"] == 204
    event = aws(
        "lambda", "invoke", "--function-name", deployed, "--invocation-type", "Event", str(tmp_path / "none")
    )  # fmt: skip
    assert json.loads(event.ok().output)["StatusCode"] == 202, event
