"""The calls that Terraform's resources for Lambda make: create, read without drift, update, delete.

Not by Terraform's own provider, which would have to be built first: the calls are made here as the resources
`aws_lambda_function`, `…_alias`, `…_permission`, `…_layer_version`, `…_event_source_mapping`, `…_function_url` and the
rest make them, in their order and with their waits. "No drift" is: a second read says what the first one said, and all
that was asked for.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from botocore.client import BaseClient

from harness.arns import arn_of
from harness.functions import ECHO, Functions, unique_name
from harness.layers import unique_layer
from harness.packages import zip_of
from harness.refusals import refusal
from harness.server import ACCOUNT, REGION, ROLE

FIRST, SECOND = zip_of({"app.py": ECHO}), zip_of({"app.py": ECHO + "# second\n"})


def digest(package: bytes) -> str:
    """`source_code_hash` in a configuration."""
    return b64encode(sha256(package).digest()).decode()


def read_twice(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a refresh finds; the next one must find the same."""
    first, second = ({key: each for key, each in read().items() if key != "ResponseMetadata"} for _ in range(2))
    # A presigned address is new each time, and no part of the state.
    for answer in (first, second):
        answer.get("Code", {}).pop("Location", None)
    assert first == second
    return first


def check(found: dict[str, Any], **wanted: Any) -> None:
    """All that was asked for is there, with these values."""
    assert {key: found.get(key) for key in wanted} == wanted


class FunctionResource:
    """`aws_lambda_function`."""

    def __init__(self, client: BaseClient, functions: Functions, **settings: Any) -> None:
        self.client, self.functions = client, functions
        self.name = settings.pop("FunctionName")
        self.publishes = settings.pop("Publish", False)
        self.settings = settings

    def create(self, package: bytes) -> None:
        """The provider leaves out what the configuration does, and waits until the function is active."""
        reserved = self.settings.pop("ReservedConcurrentExecutions", None)
        self.client.create_function(
            FunctionName=self.name, Code={"ZipFile": package}, Publish=self.publishes, **self.settings
        )
        self.functions.wait_active(self.name)
        if reserved is not None:
            self.client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=reserved)

    def read(self) -> dict[str, Any]:
        """GetFunction, the versions and the code signing configuration."""
        found = read_twice(lambda: self.client.get_function(FunctionName=self.name))
        versions = [
            version["Version"]
            for page in self.client.get_paginator("list_versions_by_function").paginate(FunctionName=self.name)
            for version in page["Versions"]
        ]
        found["LastVersion"] = versions[-1]
        signing = self.client.get_function_code_signing_config(FunctionName=self.name)
        assert not signing.get("CodeSigningConfigArn")
        return found

    def update(self, **settings: Any) -> None:
        """The configuration first, then the code, then a version, each waited for."""
        package = settings.pop("package", None)
        if settings:
            self.client.update_function_configuration(FunctionName=self.name, **settings)
            self.functions.wait_updated(self.name)
        if package:
            self.client.update_function_code(FunctionName=self.name, ZipFile=package, DryRun=False, Publish=False)
            self.functions.wait_updated(self.name)
        if self.publishes:
            self.client.publish_version(FunctionName=self.name)

    def delete(self) -> None:
        """A second destroy, or one of what somebody else has deleted, finds nothing."""
        self.client.delete_function(FunctionName=self.name)
        gone = refusal(self.client.get_function, FunctionName=self.name)
        assert (gone.status, gone.error) == (404, "ResourceNotFoundException")


def test_a_function_is_created_read_without_drift_updated_and_deleted(client: BaseClient, functions: Functions) -> None:
    settings: dict[str, Any] = {
        "Role": ROLE, "Runtime": functions.python, "Handler": "app.handler", "Description": "", "Timeout": 3,
        "MemorySize": 128, "PackageType": "Zip", "Architectures": ["x86_64"], "EphemeralStorage": {"Size": 512},
        "Environment": {"Variables": {"STAGE": "test"}}, "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {"LogFormat": "Text"}, "Tags": {"managed-by": "terraform"},
    }  # fmt: skip
    name = unique_name("terraform")
    resource = FunctionResource(client, functions, FunctionName=name, **settings, ReservedConcurrentExecutions=5)
    resource.create(FIRST)
    found = resource.read()
    configuration = found["Configuration"]
    shown = {key: value for key, value in settings.items() if key not in ("Tags", "LoggingConfig")}
    check(configuration, **shown, FunctionArn=arn_of(name), CodeSha256=digest(FIRST), Version="$LATEST")
    check(configuration, LoggingConfig={"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"})
    # What was not asked for is absent, or the provider would take it away again at each plan.
    for absent in ("VpcConfig", "DeadLetterConfig", "KMSKeyArn", "Layers", "FileSystemConfigs", "ImageConfigResponse"):
        assert absent not in configuration, absent
    check(found, Tags=settings["Tags"], Concurrency={"ReservedConcurrentExecutions": 5}, LastVersion="$LATEST")
    resource.update(MemorySize=256, Environment={"Variables": {}}, package=SECOND)
    client.tag_resource(Resource=arn_of(name), Tags={"stage": "two"})
    client.untag_resource(Resource=arn_of(name), TagKeys=["managed-by"])
    client.delete_function_concurrency(FunctionName=name)
    found = resource.read()
    check(found["Configuration"], MemorySize=256, CodeSha256=digest(SECOND), LastUpdateStatus="Successful")
    assert not found["Configuration"].get("Environment", {}).get("Variables")
    check(found, Tags={"stage": "two"})
    assert "Concurrency" not in found
    resource.delete()


def test_a_published_function_with_alias_permission_url_and_settings(client: BaseClient, functions: Functions) -> None:
    name = unique_name("terraform")
    function = FunctionResource(
        client, functions, FunctionName=name, Role=ROLE, Runtime=functions.python, Handler="app.handler", Publish=True
    )
    function.create(FIRST)
    assert function.read()["LastVersion"] == "1"
    # aws_lambda_alias
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="")
    alias = read_twice(lambda: client.get_alias(FunctionName=name, Name="live"))
    check(alias, AliasArn=f"{arn_of(name)}:live", FunctionVersion="1", Description="")
    assert "RoutingConfig" not in alias
    # aws_lambda_permission
    statement = {"StatementId": "AllowBucket", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    source = {"SourceArn": "arn:aws:s3:::bucket", "SourceAccount": ACCOUNT}
    client.add_permission(FunctionName=name, Qualifier="live", **statement, **source)
    policy = json.loads(read_twice(lambda: client.get_policy(FunctionName=name, Qualifier="live"))["Policy"])
    assert policy["Statement"] == [
        {
            "Sid": "AllowBucket", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": f"{arn_of(name)}:live",
            "Condition": {
                "StringEquals": {"AWS:SourceAccount": ACCOUNT}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            },
        }
    ]  # fmt: skip
    # aws_lambda_function_url
    client.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM", InvokeMode="BUFFERED")
    url = read_twice(lambda: client.get_function_url_config(FunctionName=name, Qualifier="live"))
    check(url, AuthType="AWS_IAM", InvokeMode="BUFFERED", FunctionArn=f"{arn_of(name)}:live")
    assert "Cors" not in url
    cors = {"AllowOrigins": ["https://example.org"], "AllowMethods": ["GET"], "MaxAge": 60}
    client.update_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE", Cors=cors)
    url = read_twice(lambda: client.get_function_url_config(FunctionName=name, Qualifier="live"))
    check(url, AuthType="NONE", Cors=cors)
    # aws_lambda_function_event_invoke_config
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=0)
    read = read_twice(lambda: client.get_function_event_invoke_config(FunctionName=name, Qualifier="live"))
    check(read, MaximumRetryAttempts=0)
    # aws_lambda_provisioned_concurrency_config, aws_lambda_runtime_management_config, …_recursion_config
    client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    read = read_twice(lambda: client.get_runtime_management_config(FunctionName=name))
    check(read, UpdateRuntimeOn="FunctionUpdate")
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert read_twice(lambda: client.get_function_recursion_config(FunctionName=name))["RecursiveLoop"] == "Allow"
    # A new version, and the alias after it.
    function.update(package=SECOND)
    assert function.read()["LastVersion"] == "2"
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="", RoutingConfig=weights)
    check(read_twice(lambda: client.get_alias(FunctionName=name, Name="live")), RoutingConfig=weights)
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", Description="", RoutingConfig={})
    alias = read_twice(lambda: client.get_alias(FunctionName=name, Name="live"))
    check(alias, FunctionVersion="2")
    assert "RoutingConfig" not in alias
    # Destroyed in the other order; each is gone for the next refresh.
    client.delete_function_event_invoke_config(FunctionName=name, Qualifier="live")
    client.delete_function_url_config(FunctionName=name, Qualifier="live")
    client.remove_permission(FunctionName=name, Qualifier="live", StatementId="AllowBucket")
    client.delete_alias(FunctionName=name, Name="live")
    for gone in (
        refusal(client.get_function_event_invoke_config, FunctionName=name, Qualifier="live"),
        refusal(client.get_function_url_config, FunctionName=name, Qualifier="live"),
        refusal(client.get_policy, FunctionName=name, Qualifier="live"),
        refusal(client.get_alias, FunctionName=name, Name="live"),
    ):
        assert (gone.status, gone.error) == (404, "ResourceNotFoundException")
    function.delete()


def test_a_layer_version_and_a_function_that_has_it(client: BaseClient, functions: Functions) -> None:
    layer = unique_layer()
    runtimes = [functions.python]

    def publish(package: bytes) -> dict[str, Any]:
        return client.publish_layer_version(
            LayerName=layer, Content={"ZipFile": package}, CompatibleRuntimes=runtimes, LicenseInfo="", Description=""
        )

    made = publish(zip_of({"python/tool.py": "NAME = 1\n"}))
    arn, number = made["LayerVersionArn"], made["Version"]
    found = client.get_layer_version(LayerName=layer, VersionNumber=number)
    check(found, LayerVersionArn=arn, Version=number, CompatibleRuntimes=runtimes)
    assert found["Content"]["CodeSha256"] == made["Content"]["CodeSha256"]
    # aws_lambda_layer_version_permission
    client.add_layer_version_permission(
        LayerName=layer, VersionNumber=number, StatementId="all", Action="lambda:GetLayerVersion", Principal="*"
    )
    read_twice(lambda: client.get_layer_version_policy(LayerName=layer, VersionNumber=number))
    name = unique_name("terraform")
    function = FunctionResource(
        client, functions, FunctionName=name, Role=ROLE, Runtime=functions.python, Handler="app.handler", Layers=[arn]
    )
    function.create(FIRST)
    shown = [{"Arn": arn, "CodeSize": made["Content"]["CodeSize"]}]
    check(function.read()["Configuration"], Layers=shown)
    # A change of the layer replaces it: new version, function, old version.
    second = publish(zip_of({"python/tool.py": "NAME = 2\n"}))
    function.update(Layers=[second["LayerVersionArn"]])
    client.remove_layer_version_permission(LayerName=layer, VersionNumber=number, StatementId="all")
    client.delete_layer_version(LayerName=layer, VersionNumber=number)
    gone = refusal(client.get_layer_version, LayerName=layer, VersionNumber=number)
    assert (gone.status, gone.error) == (404, "ResourceNotFoundException")
    check(function.read()["Configuration"]["Layers"][0], Arn=second["LayerVersionArn"])
    function.update(Layers=[])
    assert "Layers" not in function.read()["Configuration"]
    function.delete()
    client.delete_layer_version(LayerName=layer, VersionNumber=second["Version"])


def test_an_event_source_mapping_that_is_not_enabled(client: BaseClient, functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    source = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{unique_name('terraform')}"
    made = client.create_event_source_mapping(
        FunctionName=name, EventSourceArn=source, Enabled=False, BatchSize=5, Tags={"managed-by": "terraform"}
    )
    uuid = made["UUID"]
    # The provider waits until the state is one that lasts.
    found = read_twice(lambda: client.get_event_source_mapping(UUID=uuid))
    check(found, State="Disabled", BatchSize=5, EventSourceArn=source, FunctionArn=arn_of(name))
    assert client.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"managed-by": "terraform"}
    client.update_event_source_mapping(UUID=uuid, FunctionName=name, BatchSize=6, Enabled=False)
    check(read_twice(lambda: client.get_event_source_mapping(UUID=uuid)), State="Disabled", BatchSize=6)
    client.delete_event_source_mapping(UUID=uuid)
    gone = refusal(client.get_event_source_mapping, UUID=uuid)
    assert (gone.status, gone.error) == (404, "ResourceNotFoundException")


def test_a_code_signing_configuration(client: BaseClient) -> None:
    profile = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/team/aBcDeFgHiJ"
    made = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [profile]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"},
        Description="",
    )["CodeSigningConfig"]
    arn = made["CodeSigningConfigArn"]
    found = read_twice(lambda: client.get_code_signing_config(CodeSigningConfigArn=arn))
    assert found["CodeSigningConfig"] == made
    client.update_code_signing_config(CodeSigningConfigArn=arn, Description="changed")
    found = read_twice(lambda: client.get_code_signing_config(CodeSigningConfigArn=arn))
    check(found["CodeSigningConfig"], Description="changed")
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert refusal(client.get_code_signing_config, CodeSigningConfigArn=arn).error == "ResourceNotFoundException"
