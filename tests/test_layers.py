"""Layers: their versions, and how they are listed and downloaded."""

import base64
import hashlib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.functions import Functions, boto_client, create_key, unique_name
from harness.layers import layer_arn, publish, unique_layer
from harness.packages import zeros_zip, zip_of
from harness.refusals import Refusal, invalid_parameter, refusal, violation
from harness.server import ACCOUNT, REGION, Server
from harness.tools import plain_environment, run, wuwei_binary

MISSING = Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
FILES = {"python/tool.py": "NAME = 'tool'\n"}


def facts(answer: dict[str, Any], *without: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("ResponseMetadata", *without)}


def version_names(client: BaseClient, name: str, **parameters: Any) -> list[int]:
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=name, **parameters)
    return [version["Version"] for page in pages for version in page["LayerVersions"]]


def test_a_version_is_published_read_and_listed(client: BaseClient) -> None:
    name, package = unique_layer(), zip_of(FILES)
    made = publish(
        client,
        FILES,
        name,
        Description="tools",
        LicenseInfo="MIT",
        CompatibleRuntimes=["python3.11", "python3.13"],
        CompatibleArchitectures=["x86_64", "arm64"],
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    location = made["Content"].pop("Location")
    assert facts(made, "CreatedDate") == {
        "LayerArn": layer_arn(name),
        "LayerVersionArn": layer_arn(name, 1),
        "Version": 1,
        "Description": "tools",
        "LicenseInfo": "MIT",
        "CompatibleRuntimes": ["python3.11", "python3.13"],
        "CompatibleArchitectures": ["x86_64", "arm64"],
        "Content": {
            "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
            "CodeSize": len(package),
        },
    }
    with urllib.request.urlopen(location) as download:
        assert download.read() == package
    by_name = client.get_layer_version(LayerName=name, VersionNumber=1)
    by_layer_arn = client.get_layer_version(LayerName=layer_arn(name), VersionNumber=1)
    by_arn = client.get_layer_version_by_arn(Arn=layer_arn(name, 1))
    for read in (by_name, by_layer_arn, by_arn):
        read["Content"].pop("Location")
        assert facts(read) == facts(made)
    item = facts(made, "Content", "LayerArn")
    assert client.list_layer_versions(LayerName=name)["LayerVersions"] == [item]
    listed = [layer for layer in client.list_layers()["Layers"] if layer["LayerName"] == name]
    assert listed == [{"LayerName": name, "LayerArn": layer_arn(name), "LatestMatchingVersion": item}]


def test_what_was_not_given_is_left_out(client: BaseClient) -> None:
    made = publish(client, FILES)
    assert made["Description"] == ""
    assert not {"LicenseInfo", "CompatibleRuntimes", "CompatibleArchitectures"} & made.keys()


def test_a_download_is_for_those_who_may_see_the_layer(client: BaseClient) -> None:
    location = publish(client, FILES)["Content"]["Location"]
    flipped = "1" if location[-1] == "0" else "0"
    for changed in (location.split("?")[0], location.replace("layer-", "other-"), location[:-1] + flipped):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(changed)
        assert refused.value.code in (403, 404)


def test_versions_are_numbered_on_and_a_deleted_number_does_not_come_back(client: BaseClient) -> None:
    name = unique_layer()
    assert [publish(client, FILES, name)["Version"] for _ in range(3)] == [1, 2, 3]
    gone = client.delete_layer_version(LayerName=name, VersionNumber=3)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(lambda: client.get_layer_version(LayerName=name, VersionNumber=3)) == MISSING
    assert refusal(lambda: client.get_layer_version_by_arn(Arn=layer_arn(name, 3))) == MISSING
    client.delete_layer_version(LayerName=name, VersionNumber=3)
    client.delete_layer_version(LayerName=unique_layer(), VersionNumber=1)
    assert publish(client, FILES, name)["Version"] == 4
    assert version_names(client, name) == [4, 2, 1]
    for version in (1, 2, 4):
        client.delete_layer_version(LayerName=name, VersionNumber=version)
    assert name not in [layer["LayerName"] for layer in client.list_layers()["Layers"]]
    assert version_names(client, name) == []
    assert publish(client, FILES, name)["Version"] == 5


def test_lists_go_page_by_page_to_the_end(fresh_server: Server) -> None:
    client = boto_client(fresh_server)
    for _ in range(5):
        publish(client, FILES, "many")
    assert version_names(client, "many", PaginationConfig={"PageSize": 2}) == [5, 4, 3, 2, 1]
    assert version_names(client, "nobody") == []
    for number in range(4):
        publish(client, FILES, f"name-{number}")
    pages = list(client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 2}))
    assert [[layer["LayerName"] for layer in page["Layers"]] for page in pages] == [
        ["many", "name-0"],
        ["name-1", "name-2"],
        ["name-3"],
    ]
    assert pages[0]["Layers"][0]["LatestMatchingVersion"]["Version"] == 5
    strange = refusal(lambda: client.list_layers(Marker="%"))
    assert strange.error == "InvalidParameterValueException"
    too_many = refusal(lambda: client.list_layers(MaxItems=51))
    assert (too_many.status, too_many.error) == (400, "ValidationException")


def test_lists_are_filtered_by_runtime_and_architecture(fresh_server: Server) -> None:
    client = boto_client(fresh_server)
    publish(client, FILES, "a", CompatibleRuntimes=["python3.11"], CompatibleArchitectures=["arm64"])
    publish(client, FILES, "a", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    publish(client, FILES, "b")
    assert version_names(client, "a", CompatibleRuntime="python3.11") == [1]
    assert version_names(client, "a", CompatibleArchitecture="x86_64") == [2]
    assert version_names(client, "a", CompatibleRuntime="python3.11", CompatibleArchitecture="x86_64") == []
    found = client.list_layers(CompatibleRuntime="python3.11")["Layers"]
    assert [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in found] == [("a", 1)]


def test_those_who_publish_at_the_same_time_get_versions_of_their_own(client: BaseClient) -> None:
    name = unique_layer()

    def publish_one(number: int) -> tuple[int, str]:
        made = publish(client, {"n": str(number)}, name)
        return made["Version"], made["Content"]["CodeSha256"]

    with ThreadPoolExecutor(8) as pool:
        made = dict(pool.map(publish_one, range(16)))
    assert sorted(made) == list(range(1, 17))
    for version, digest in made.items():
        shown = client.get_layer_version(LayerName=name, VersionNumber=version)
        assert shown["Content"]["CodeSha256"] == digest


def test_what_is_no_layer_is_refused(client: BaseClient) -> None:
    def refused(**settings: Any) -> Refusal:
        content = {"Content": {"ZipFile": zip_of(FILES)}}
        return refusal(lambda: client.publish_layer_version(**({"LayerName": unique_layer()} | content | settings)))

    unreadable = "Could not unzip uploaded file. Please check your file, then try to upload again."
    assert refused(Content={"ZipFile": b"no zip"}) == invalid_parameter(unreadable)
    assert refused(Content={"ZipFile": b""}) == invalid_parameter("Uploaded file must be a non-empty zip")
    assert refused(Content={}) == invalid_parameter("Please provide a source for function code.")
    assert refused(Content={"S3Bucket": "bucket", "S3Key": "k"}).message.startswith("S3Bucket is not supported yet")
    too_large = invalid_parameter("Unzipped size must be smaller than 262144000 bytes")
    assert refused(Content={"ZipFile": zeros_zip(262_144_001)}) == too_large
    missing = violation("Value null", "content", "Member must not be null")
    assert refused(Content=None) == missing
    for settings in (
        {"Description": "d" * 257},
        {"LicenseInfo": "l" * 513},
        {"CompatibleRuntimes": ["python3.11"] * 16},
        {"CompatibleRuntimes": ["cobol"]},
        {"CompatibleArchitectures": ["vax"]},
        {"LayerName": "a b"},
        {"LayerName": "n" * 141},
    ):
        found = refused(**settings)
        assert (found.status, found.error) == (400, "ValidationException"), settings
    foreign = layer_arn("theirs", account="111111111111")
    assert refused(LayerName=foreign).error == "AccessDeniedException"


def test_limits_are_reached(client: BaseClient) -> None:
    # The ARN of a version has at most 140 characters: that is room for 85 of a name here, and ten digits.
    name = unique_layer().ljust(85, "x")
    made = publish(client, FILES, name, Description="d" * 256, LicenseInfo="l" * 512)
    assert made["Version"] == 1
    longer = refusal(lambda: publish(client, FILES, name + "x"))
    assert (longer.status, longer.error) == (400, "InvalidParameterValueException")


def test_keys_reach_the_layers_that_they_are_for(client: BaseClient, server: Server) -> None:
    def with_key(*arguments: str) -> BaseClient:
        return boto_client(server, keys=create_key(server, *arguments))

    viewer, team = with_key("--role", "viewer"), with_key("--functions", "team-*")
    name = publish(client, FILES)["LayerArn"].rsplit(":", 1)[1]
    assert viewer.get_layer_version(LayerName=name, VersionNumber=1)["Version"] == 1
    assert refusal(lambda: publish(viewer, FILES)).error == "AccessDeniedException"
    assert refusal(lambda: publish(team, FILES, name)).error == "AccessDeniedException"
    denied = refusal(lambda: team.delete_layer_version(LayerName=name, VersionNumber=1))
    assert denied.error == "AccessDeniedException"
    assert publish(team, FILES, "team-tools")["Version"] >= 1


def test_layers_survive_kill_nine(fresh_server: Server) -> None:
    made = publish(boto_client(fresh_server), FILES, "kept")
    fresh_server.kill()
    fresh_server.start()
    client = boto_client(fresh_server)
    shown = client.get_layer_version(LayerName="kept", VersionNumber=1)
    assert facts(shown, "Content") == facts(made, "Content")
    with urllib.request.urlopen(shown["Content"]["Location"]) as download:
        assert download.read() == zip_of(FILES)


def test_the_code_of_layers_counts_for_the_account(fresh_server: Server) -> None:
    client = boto_client(fresh_server)
    size = publish(client, FILES, "a")["Content"]["CodeSize"]
    publish(client, FILES, "a")
    assert client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == 2 * size


def test_the_command_line_publishes_lists_and_removes(server: Server, client: BaseClient, tmp_path: Any) -> None:
    name = unique_layer()
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "tool.py").write_text("NAME = 1\n")
    made: Any = server.wuwei_json("layer", "publish", name, str(tmp_path), "--runtime", "python3.11")
    assert made["LayerVersionArn"] == layer_arn(name, 1)
    assert client.get_layer_version(LayerName=name, VersionNumber=1)["CompatibleRuntimes"] == ["python3.11"]
    assert f"published {layer_arn(name, 2)}" in server.wuwei("layer", "publish", name, str(tmp_path)).ok().output
    assert layer_arn(name, 2) in server.wuwei("layer", "ls").ok().output
    versions: Any = server.wuwei_json("layer", "ls", name)
    assert [version["Version"] for version in versions] == [2, 1]
    server.wuwei("layer", "rm", name, "1").ok()
    assert version_names(client, name) == [2]
    again = server.wuwei("layer", "rm", name, "1")
    assert again.status != 0 and "does not exist" in again.errors


def test_a_function_is_deployed_with_layers_by_name_and_by_arn(
    server: Server, client: BaseClient, functions: Functions, tmp_path: Any
) -> None:
    one, two = unique_layer(), unique_layer()
    publish(client, {"python/one.py": "NAME = 1\n"}, one)
    second = publish(client, {"python/two.py": "NAME = 2\n"}, two)["LayerVersionArn"]
    code = "import one, two\ndef handler(event, context):\n    return [one.NAME, two.NAME]\n"
    (tmp_path / "app.py").write_text(code)
    deploy = ("deploy", str(tmp_path), "--name", unique_name("layered"))

    def deployed(*options: str) -> Any:
        return server.wuwei_json(*deploy, *options)

    made = deployed("--layer", f"{one}:1", "--layer", second)
    assert made["action"] == "created"
    name = made["name"]
    assert functions.call(name) == [1, 2]
    # Without the option they stay; with it, exactly those named are there, in that order.
    assert deployed()["action"] == "unchanged"
    assert deployed("--layer", f"{one}:1", "--layer", second)["action"] == "unchanged"
    assert deployed("--layer", second, "--layer", f"{one}:1")["action"] == "updated"
    shown = client.get_function_configuration(FunctionName=name)["Layers"]
    assert [layer["Arn"] for layer in shown] == [second, layer_arn(one, 1)]
    missing = server.wuwei(*deploy, "--layer", f"{one}:9")
    assert missing.status != 0 and f"{layer_arn(one, 9)} does not exist" in missing.errors
    (tmp_path / "wuwei.toml").write_text(f'layers = ["{two}:1"]\n')
    assert deployed()["action"] == "updated"
    assert [layer["Arn"] for layer in client.get_function_configuration(FunctionName=name)["Layers"]] == [second]


def test_a_foreign_layer_is_brought_under_its_own_arn(server: Server, client: BaseClient, tmp_path: Any) -> None:
    arn = layer_arn("vendor", 21, account="580247275435", region="eu-west-3")
    package = tmp_path / "vendor.zip"
    package.write_bytes(zip_of(FILES))
    assert refusal(lambda: client.get_layer_version_by_arn(Arn=arn)).error == "AccessDeniedException"
    assert f"imported {arn}" in server.wuwei("layer", "import", str(package), "--arn", arn).ok().output
    shown = client.get_layer_version_by_arn(Arn=arn)
    assert (shown["LayerVersionArn"], shown["Version"]) == (arn, 21)
    with urllib.request.urlopen(shown["Content"]["Location"]) as download:
        assert download.read() == package.read_bytes()
    # Once more is no change; another package under the same ARN is refused.
    server.wuwei("layer", "import", str(package), "--arn", arn).ok()
    package.write_bytes(zip_of({"other": "x"}))
    other = server.wuwei("layer", "import", str(package), "--arn", arn)
    assert other.status != 0 and "is there already, with another package" in other.errors
    wrong = server.wuwei("layer", "import", str(package), "--arn", "arn:aws:lambda:nowhere")
    assert wrong.status != 0 and "is not the ARN of a layer version" in wrong.errors
    assert [layer for layer in client.list_layers()["Layers"] if layer["LayerName"] == "vendor"] == []
    assert f":{REGION}:{ACCOUNT}:" not in arn


def test_only_administrators_bring_foreign_layers(server: Server, tmp_path: Any) -> None:
    keys = create_key(server, "--role", "deployer")
    package = tmp_path / "x.zip"
    package.write_bytes(zip_of(FILES))
    arn = layer_arn("theirs", 1, account="580247275435")
    environment = {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key}
    environment |= {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": REGION}
    refused = run(
        [str(wuwei_binary()), "layer", "import", str(package), "--arn", arn], plain_environment() | environment
    )
    assert refused.status != 0 and "AccessDenied" in refused.errors
