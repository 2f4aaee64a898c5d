"""A package with the real boto3 in it, as people bring it: installed by pip next to their code."""

import functools
import io
import os
import stat
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from harness.packages import READABLE, zip_of
from harness.tools import run

DRIVER = '''"""Runs the statements of each event with the names below at hand; answers what they leave in `result`."""
import json, os, socket, urllib.error, urllib.request
import boto3, botocore.exceptions
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ONCE = Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=60)
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
OWN = [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]

def invoke(name, event):
    answer = boto3.client("lambda", config=ONCE).invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())

def refusal(action, **parameters):
    try:
        return ["accepted", repr(action(**parameters))]
    except botocore.exceptions.ClientError as error:
        found = error.response
        return [found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"], found["Error"]["Message"]]

def send(method, url, headers={}, body=None):
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [answer.status, None, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.headers["x-amzn-ErrorType"], error.read().decode()]

def signed(keys, signer=SigV4Auth, service="lambda", method="POST", path="/", body=b"{}", host=None):
    request = AWSRequest(method, ENDPOINT + path, data=body, headers={"Host": host} if host else {})
    signer(Credentials(*keys), service, os.environ["AWS_REGION"]).add_auth(request)
    prepared = request.prepare()
    return send(method, prepared.url, dict(prepared.headers), body)

def handler(event, context):
    names = dict(globals(), context=context)
    exec(event, names)
    return names["result"]
'''


@functools.cache
def boto_package() -> bytes:
    """A zip of `DRIVER` as `app.py`, and of the boto3 that the tests themselves use."""
    with tempfile.TemporaryDirectory(prefix="wuwei-boto3-") as directory:
        wanted = f"boto3=={version('boto3')}"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", directory, wanted]
        run(install, dict(os.environ), within=300).ok()
        root = Path(directory)
        needed = (path for path in sorted(root.rglob("*")) if path.is_file() and is_needed(path.relative_to(root)))
        return zip_of({str(path.relative_to(root)): path.read_bytes() for path in needed} | {"app.py": DRIVER})


def is_needed(path: Path) -> bool:
    """All but the descriptions of the hundreds of services that no test calls."""
    services = Path("botocore/data")
    return not (path.is_relative_to(services) and len(path.parts) > 3) or path.parts[2] in ("lambda", "sts", "s3")


def with_module(package: bytes, name: str, code: str) -> bytes:
    """A package with one file more."""
    buffer = io.BytesIO(package)
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFREG | READABLE) << 16
        archive.writestr(entry, code)
    return buffer.getvalue()
