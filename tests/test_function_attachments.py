"""Settings that name things outside Lambda: kept, shown as AWS shows them, and checked."""

from typing import Any

import pytest

from harness.functions import ECHO, Functions
from harness.refusals import invalid_parameter, refusal
from harness.server import ACCOUNT, REGION, Server

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:dead"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
ACCESS_POINT = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/fsap-0123456789abcdef0"
VPC = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"], "Ipv6AllowedForDualStack": True}
FILES = [{"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/data"}]
NO_VPC = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
NAMES = ("DeadLetterConfig", "VpcConfig", "FileSystemConfigs", "KMSKeyArn", "TracingConfig", "SnapStart")
DEFAULTS = {"TracingConfig": {"Mode": "PassThrough"}, "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"}}


def shown(functions: Functions, name: str) -> dict[str, Any]:
    configuration = functions.client.get_function_configuration(FunctionName=name)
    return {key: configuration[key] for key in NAMES if key in configuration}


def update(functions: Functions, name: str, **settings: Any) -> dict[str, Any]:
    answer = functions.client.update_function_configuration(FunctionName=name, **settings)
    functions.wait_updated(name)
    return {key: answer[key] for key in NAMES if key in answer}


def test_what_is_given_at_creation_is_shown(functions: Functions) -> None:
    name = functions.deploy_python(
        ECHO,
        DeadLetterConfig={"TargetArn": QUEUE},
        VpcConfig=VPC,
        FileSystemConfigs=FILES,
        KMSKeyArn=KEY,
        TracingConfig={"Mode": "Active"},
    )
    assert shown(functions, name) == DEFAULTS | {
        "DeadLetterConfig": {"TargetArn": QUEUE},
        "VpcConfig": VPC,
        "FileSystemConfigs": FILES,
        "KMSKeyArn": KEY,
        "TracingConfig": {"Mode": "Active"},
    }
    assert functions.call(name, 1) == 1


def test_what_was_never_given_is_left_out(functions: Functions) -> None:
    assert shown(functions, functions.deploy_python(ECHO)) == DEFAULTS


def test_an_update_changes_what_it_names_and_takes_away_what_it_empties(functions: Functions) -> None:
    name = functions.deploy_python(ECHO)
    assert update(functions, name, DeadLetterConfig={"TargetArn": TOPIC}, KMSKeyArn=KEY) == DEFAULTS | {
        "DeadLetterConfig": {"TargetArn": TOPIC},
        "KMSKeyArn": KEY,
    }
    both = {"VpcConfig": VPC, "FileSystemConfigs": FILES}
    assert {key: update(functions, name, **both)[key] for key in both} == both
    assert update(functions, name, FileSystemConfigs=[], Timeout=9)["VpcConfig"] == VPC
    emptied = update(
        functions,
        name,
        DeadLetterConfig={"TargetArn": ""},
        KMSKeyArn="",
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
    )
    assert emptied == DEFAULTS | {"VpcConfig": NO_VPC} == shown(functions, name)


def test_a_published_version_keeps_what_it_had(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, DeadLetterConfig={"TargetArn": QUEUE}, TracingConfig={"Mode": "Active"})
    version = functions.client.publish_version(FunctionName=name)["Version"]
    update(functions, name, DeadLetterConfig={"TargetArn": ""}, TracingConfig={"Mode": "PassThrough"})
    kept = functions.client.get_function_configuration(FunctionName=name, Qualifier=version)
    assert (kept["DeadLetterConfig"], kept["TracingConfig"]) == ({"TargetArn": QUEUE}, {"Mode": "Active"})


def test_versions_with_other_dead_letter_targets_do_not_share_an_alias(functions: Functions) -> None:
    name = functions.deploy_python(ECHO, DeadLetterConfig={"TargetArn": QUEUE})
    functions.client.publish_version(FunctionName=name)
    update(functions, name, DeadLetterConfig={"TargetArn": TOPIC})
    functions.client.publish_version(FunctionName=name)
    alias = {"FunctionName": name, "Name": "live", "FunctionVersion": "1"}
    alias["RoutingConfig"] = {"AdditionalVersionWeights": {"2": 0.5}}
    refused = refusal(lambda: functions.client.create_alias(**alias))
    assert refused == invalid_parameter("Specified versions must be associated with the same dead letter target")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "subnets alone": (
        {"VpcConfig": {"SubnetIds": ["subnet-1"]}},
        "SubnetIds and SecurityIds must coexist or be both empty list.",
    ),
    "security groups alone": (
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"]}},
        "SubnetIds and SecurityIds must coexist or be both empty list.",
    ),
    "a file system without a network": (
        {"FileSystemConfigs": FILES},
        f"Function must be configured to execute in a VPC to reference access point: {ACCESS_POINT}",
    ),
    "a dead letter target that is neither queue nor topic": (
        {"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}},
        "The target of DeadLetterConfig must be the ARN of an Amazon SQS queue or an Amazon SNS topic.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_do_not_go_together_are_refused(functions: Functions, case: str) -> None:
    settings, message = REFUSED[case]
    assert refusal(lambda: functions.deploy_python(ECHO, **settings)) == invalid_parameter(message)
    name = functions.deploy_python(ECHO)
    assert refusal(lambda: update(functions, name, **settings)) == invalid_parameter(message)
    assert shown(functions, name) == DEFAULTS


def test_values_outside_the_model_are_refused(functions: Functions) -> None:
    for settings in (
        {"VpcConfig": {"SubnetIds": [f"subnet-{number}" for number in range(17)], "SecurityGroupIds": ["sg-1"]}},
        {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": [f"sg-{number}" for number in range(6)]}},
        {"FileSystemConfigs": FILES * 2},
        {"FileSystemConfigs": [{"Arn": ACCESS_POINT, "LocalMountPath": "/data"}]},
        {"FileSystemConfigs": [{"Arn": ACCESS_POINT}]},
        {"KMSKeyArn": "key"},
        {"DeadLetterConfig": {"TargetArn": "queue"}},
        {"TracingConfig": {"Mode": "Loud"}},
        {"SnapStart": {"ApplyOn": "Always"}},
    ):
        refused = refusal(lambda settings=settings: functions.deploy_python(ECHO, **settings))
        assert (refused.status, refused.error) == (400, "ValidationException"), settings


def test_snapshots_are_asked_for_where_the_runtime_has_them(functions: Functions) -> None:
    asked = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
    text = f"{functions.node} is not supported for SnapStart enabled functions."
    node = refusal(lambda: functions.deploy_node("export const handler = async () => 1;", **asked))
    assert node == invalid_parameter(text)
    native = refusal(lambda: functions.deploy_custom("#!/bin/sh\n", **asked))
    assert native == invalid_parameter("provided.al2023 is not supported for SnapStart enabled functions.")
    minor = int(functions.python.removeprefix("python3."))
    if minor < 12:
        refused = refusal(lambda: functions.deploy_python(ECHO, **asked))
        assert refused == invalid_parameter(f"{functions.python} is not supported for SnapStart enabled functions.")
        return
    name = functions.deploy_python(ECHO, **asked)
    expected = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert shown(functions, name)["SnapStart"] == expected
    large = refusal(lambda: update(functions, name, EphemeralStorage={"Size": 513}))
    assert large.message.startswith("Ephemeral storage of more than 512 MB is not supported for SnapStart")
    version = functions.client.publish_version(FunctionName=name)
    assert version["SnapStart"] == expected
    assert update(functions, name, SnapStart={"ApplyOn": "None"})["SnapStart"] == DEFAULTS["SnapStart"]


def test_they_survive_kill_nine(fresh_server: Server, functions_of: Any) -> None:
    functions: Functions = functions_of(fresh_server)
    name = functions.deploy_python(ECHO, VpcConfig=VPC, FileSystemConfigs=FILES, KMSKeyArn=KEY)
    before = shown(functions, name)
    fresh_server.kill()
    fresh_server.start()
    assert shown(functions_of(fresh_server), name) == before
