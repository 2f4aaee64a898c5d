"""Any request, within the service model or outside of it: an answer of the model, and no change without a success.

The suite sends REQUESTS requests that a seed stands for; `make test-requests` sends more, of another seed.
"""

import http.client
import json
import os
import random
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.catalog import Catalog
from harness.documents import Documents, Request
from harness.functions import ECHO, Functions
from harness.packages import zip_of
from harness.server import ACCOUNT, REGION, ROLE, Server
from harness.waiting import until
from harness.wire import Answer, signed
from responses import OPERATIONS, check_response

REQUESTS = int(os.environ.get("WUWEI_REQUESTS", "3000"))
SEED = os.environ.get("WUWEI_SEED", "20261120")
AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261120/{REGION}/lambda/aws4_request, SignedHeaders=host, Signature=0"
)
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
NAMES = [f"made-{number}" for number in range(4)]
WEIGHTS: dict[str, float] = {
    "CreateFunction": 12, "UpdateFunctionCode": 4, "UpdateFunctionConfiguration": 4, "Invoke": 3, "PublishVersion": 4,
    "CreateAlias": 4, "PublishLayerVersion": 4, "CreateEventSourceMapping": 3, "CreateFunctionUrlConfig": 3,
    "DeleteFunction": 0.7, "DeleteLayerVersion": 0.7,
}  # fmt: skip


def known_to(functions: Functions) -> dict[str, list[Any]]:
    """Values that mean something to the server, so that requests get past the first check."""
    packages = [
        b64encode(zip_of({"app.py": ECHO + "#" * length, "bootstrap": "#!/bin/sh\n"})).decode() for length in (0, 1)
    ]
    names = [
        *NAMES,
        *NAMES,
        f"{FUNCTION_ARN}:made-0",
        f"{ACCOUNT}:function:made-1",
        "made-0:live",
        "made-0:1",
        "made-1:$LATEST",
    ]
    return {
        "FunctionName": names,
        "Resource": [f"{FUNCTION_ARN}:{name}" for name in NAMES],
        "Name": ["live", "other"],
        "Qualifier": ["$LATEST", "1", "2", "live"],
        "FunctionVersion": ["$LATEST", "1", "2"],
        "LayerName": ["layer-0", "layer-1", f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer-0"],
        "VersionNumber": [1, 2],
        "LayerVersionArn": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer-0:1"],
        "Arn": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer-0:1"],
        "Role": [ROLE],
        "Runtime": [functions.python, "provided.al2023"],
        "Handler": ["app.handler"],
        "Code": [{"ZipFile": package} for package in packages],
        "Content": [{"ZipFile": package} for package in packages],
        "ZipFile": packages,
        "MemorySize": [128, 256],
        "Timeout": [3, 900],
        "EphemeralStorage": [{"Size": 512}],
        "Environment": [{"Variables": {"A": "b"}}],
        "Layers": [[], [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer-0:1"]],
        "TracingConfig": [{"Mode": "Active"}],
        "SnapStart": [{"ApplyOn": "None"}],
        "VpcConfig": [{}, {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}],
        "FileSystemConfigs": [[]],
        "CapacityProviderConfig": [None],
        "DurableConfig": [None],
        "ImageConfig": [{}],
        "SourceKMSKeyArn": [""],
        "PublishTo": [""],
        "DeadLetterConfig": [{}, {"TargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"}],
        "RoutingConfig": [{}, {"AdditionalVersionWeights": {"2": 0.5}}],
        "Architectures": [["x86_64"]],
        "PackageType": ["Zip"],
        "StatementId": ["one", "two"],
        "Principal": ["*", ACCOUNT, "s3.amazonaws.com"],
        "ProvisionedConcurrentExecutions": [1],
        "ReservedConcurrentExecutions": [0, 1, 10],
        "Payload": ["{}", '{"a": [1]}', ""],
        "Enabled": [False],
        "EventSourceArn": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue", f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"],
        "CodeSigningConfigArn": [],
        "UUID": [],
        "RevisionId": [],
        "Marker": [],
    }


class Sender:
    """One connection for all requests; a new one when the server has closed it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection(*server.address, timeout=120)

    def send(self, request: Request) -> Answer:
        """The answer to a request, whatever it is."""
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"} | request.headers
        try:
            self.connection.request(request.method, request.target, request.body, headers)
            answer = self.connection.getresponse()
        except (http.client.BadStatusLine, ConnectionError):
            # It was closed after the answer before; a server that is gone fails here once more.
            self.connection.close()
            self.connection.request(request.method, request.target, request.body, headers)
            answer = self.connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def check(request: Request, answer: Answer) -> None:
    """No fault of the server, and an answer of the model."""
    assert answer.status < 500, f"{answer.status} {answer.body!r}"
    if request.reaches_operation:
        check_response(request.operation, answer.status, answer.headers, answer.body)
    elif answer.status >= 400 and request.method != "HEAD":
        assert answer.error and isinstance(json.loads(answer.body), dict), answer


def delete_all(client: BaseClient) -> None:
    """Everything that a client can see."""
    for page in client.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            client.delete_event_source_mapping(UUID=mapping["UUID"])
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            client.delete_function(FunctionName=function["FunctionName"])
    for page in client.get_paginator("list_layers").paginate():
        for layer in page["Layers"]:
            name = layer["LayerName"]
            for versions in client.get_paginator("list_layer_versions").paginate(LayerName=name):
                for version in versions["LayerVersions"]:
                    client.delete_layer_version(LayerName=name, VersionNumber=version["Version"])
    for page in client.get_paginator("list_code_signing_configs").paginate():
        for config in page["CodeSigningConfigs"]:
            client.delete_code_signing_config(CodeSigningConfigArn=config["CodeSigningConfigArn"])


def test_any_request_gets_an_answer_of_the_model_and_a_refused_one_changes_nothing(
    new_server: Callable[..., Server],
    functions_of: Callable[[Server], Functions],
    record_property: Callable[[str, object], None],
) -> None:
    server = new_server(config='auth = "off"\nstock = 0\n').start()
    functions = functions_of(server)
    catalog = Catalog(server.data_dir)
    chance = random.Random(SEED)
    documents = Documents(chance, known_to(functions))
    sender = Sender(server)
    names = sorted(OPERATIONS)
    weights = [WEIGHTS.get(name, 1) for name in names]
    for name in NAMES[:2]:
        functions.deploy_python(ECHO, FunctionName=name, Publish=True)
    before = catalog.at_rest()
    answers: Counter[str] = Counter()
    for number in range(REQUESTS):
        request = documents.request(chance.choices(names, weights)[0])
        answer = sender.send(request)
        try:
            check(request, answer)
            after = catalog.at_rest()
            if answer.status >= 400:
                assert after == before, "a refused request changed something"
        except AssertionError as error:
            raise AssertionError(f"request {number} of seed {SEED}\n{request}\nanswer: {answer}\n{error}") from error
        before = after
        answers[str(answer.status)] += 1
        if answer.status < 300:
            with suppress(ValueError, RecursionError):
                documents.learn(json.loads(answer.body))
    record_property("answers", dict(answers))
    assert "panicked" not in server.stderr
    # They were not all refused for the same reason: many did something.
    assert answers["200"] + answers["201"] + answers["202"] + answers["204"] > REQUESTS // 20, answers
    delete_all(functions.client)
    until(lambda: not catalog.packages(), "packages that nobody refers to are gone", within=60)
    assert catalog.left() == []
    server.stop()


@pytest.mark.parametrize("depth", [127, 128, 100_000])
def test_documents_of_any_depth_are_answered(server: Server, depth: int) -> None:
    for body in (b"[" * depth, b'{"Tags":' * depth, b'{"Unknown":' + b"[" * depth + b"]" * depth + b"}"):
        answer = signed(server, "POST", "/2015-03-31/functions", body)
        assert (answer.status, answer.error) in ((400, "SerializationException"), (400, "ValidationException"))
