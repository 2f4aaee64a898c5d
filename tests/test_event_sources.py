"""Event source mappings: made, read, changed, listed, tagged and deleted; what does not go together is refused."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient

from harness.arns import arn_of
from harness.functions import ECHO, Functions, boto_client, create_key
from harness.refusals import Refusal, invalid_parameter, not_found, refusal
from harness.server import ACCOUNT, REGION, Server

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NO_RESOURCE = Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")
NOT_READ = (
    "Enabled true is not supported yet by wuwei, which reads no event sources: with Enabled false the mapping is kept, "
    "and no events come from it"
)
_numbers = iter(range(1, 10_000))


def queue() -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue-{next(_numbers)}"


def stream() -> str:
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/stream-{next(_numbers)}"


@pytest.fixture(scope="module")
def name(functions: Functions) -> str:
    return functions.deploy_python(ECHO)


def create(client: BaseClient, name: str, **settings: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.create_event_source_mapping(FunctionName=name, Enabled=False, **settings)
    return answer


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_a_mapping_of_a_queue_is_made_read_changed_and_deleted(client: BaseClient, name: str) -> None:
    source = queue()
    made = create(client, name, EventSourceArn=source)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    uuid = made["UUID"]
    assert re.fullmatch(UUID, uuid)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}"
    expected = {
        "UUID": uuid, "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "EventSourceArn": source,
        "FunctionArn": arn_of(name), "LastModified": made["LastModified"], "State": "Creating",
        "StateTransitionReason": "USER_INITIATED", "FunctionResponseTypes": [], "EventSourceMappingArn": arn,
    }  # fmt: skip
    assert without_metadata(made) == expected
    found = client.get_event_source_mapping(UUID=uuid)
    assert without_metadata(found) == expected | {"State": "Disabled"}
    changed = client.update_event_source_mapping(
        UUID=uuid,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 2},
        FilterCriteria={"Filters": [{"Pattern": '{"body": {"kind": ["order"]}}'}]},
    )
    assert (changed["State"], changed["BatchSize"]) == ("Updating", 100)
    assert changed["LastModified"] >= made["LastModified"]
    found = client.get_event_source_mapping(UUID=uuid)
    assert without_metadata(found) == without_metadata(changed) | {"State": "Disabled"}
    cleared = client.update_event_source_mapping(UUID=uuid, FilterCriteria={}, ScalingConfig={})
    assert "FilterCriteria" not in cleared and "ScalingConfig" not in cleared
    deleted = client.delete_event_source_mapping(UUID=uuid)
    assert (deleted["State"], deleted["ResponseMetadata"]["HTTPStatusCode"]) == ("Deleting", 202)
    for action in (client.get_event_source_mapping, client.delete_event_source_mapping):
        assert refusal(action, UUID=uuid) == NO_RESOURCE
    assert refusal(client.update_event_source_mapping, UUID=uuid) == NO_RESOURCE


def test_a_mapping_of_a_stream_says_how_failures_are_met(client: BaseClient, name: str) -> None:
    made = create(client, name, EventSourceArn=stream(), StartingPosition="LATEST")
    expected = {
        "BatchSize": 100, "StartingPosition": "LATEST", "ParallelizationFactor": 1, "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1, "BisectBatchOnFunctionError": False, "TumblingWindowInSeconds": 0,
        "DestinationConfig": {"OnFailure": {}}, "LastProcessingResult": "No records processed",
        "StateTransitionReason": "User action",
    }  # fmt: skip
    assert {key: made.get(key) for key in expected} == expected
    changed = client.update_event_source_mapping(
        UUID=made["UUID"], BisectBatchOnFunctionError=True, DestinationConfig={"OnFailure": {"Destination": queue()}}
    )
    assert changed["BisectBatchOnFunctionError"] and changed["DestinationConfig"]["OnFailure"]["Destination"]
    client.delete_event_source_mapping(UUID=made["UUID"])


def test_kafka_by_the_addresses_of_its_brokers(client: BaseClient, name: str) -> None:
    source = {
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["broker.example:9092"]}},
        "Topics": ["orders"],
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "ours"},
    }
    made = create(client, name, StartingPosition="TRIM_HORIZON", **source)
    assert {key: made[key] for key in source} == source and "EventSourceArn" not in made
    client.delete_event_source_mapping(UUID=made["UUID"])


def test_an_enabled_mapping_is_refused_with_the_reason_as_long_as_nothing_reads_sources(
    client: BaseClient, name: str
) -> None:
    for enabled in ({"Enabled": True}, {}):
        found = refusal(client.create_event_source_mapping, FunctionName=name, EventSourceArn=queue(), **enabled)
        assert found == invalid_parameter(NOT_READ)
    made = create(client, name, EventSourceArn=queue())
    assert refusal(client.update_event_source_mapping, UUID=made["UUID"], Enabled=True) == invalid_parameter(NOT_READ)
    assert client.update_event_source_mapping(UUID=made["UUID"], Enabled=False)["BatchSize"] == 10
    client.delete_event_source_mapping(UUID=made["UUID"])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "EventSourceArn or SelfManagedEventSource is required."),
    ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source: "),
    ({"EventSourceArn": stream()}, "1 validation error detected: Value null at 'startingPosition' failed"),
    (
        {"EventSourceArn": stream(), "StartingPosition": "LATEST", "StartingPositionTimestamp": 1},
        "Timestamp only valid with StartingPosition AT_TIMESTAMP",
    ),
    (
        {"EventSourceArn": queue(), "StartingPosition": "LATEST"},
        "StartingPosition is not valid for SQS event sources.",
    ),
    (
        {"EventSourceArn": queue(), "BatchSize": 11},
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    ),
    (
        {"EventSourceArn": queue(), "FilterCriteria": {"Filters": [{"Pattern": '{"a": 1}'}]}},
        "Invalid filter pattern definition.",
    ),
    (
        {
            "EventSourceArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t/stream/1",
            "StartingPosition": "AT_TIMESTAMP",
            "StartingPositionTimestamp": 1,
        },
        "Unsupported starting position for arn type: ",
    ),
]


@pytest.mark.parametrize(("settings", "beginning"), REFUSED, ids=[beginning[:40] for _, beginning in REFUSED])
def test_what_does_not_go_together_is_refused(
    client: BaseClient, name: str, settings: dict[str, Any], beginning: str
) -> None:
    found = refusal(create, client=client, name=name, **settings)
    assert (found.status, found.error) == (400, "InvalidParameterValueException")
    assert found.message.startswith(beginning)


def test_values_outside_their_bounds_are_refused_in_awss_words(client: BaseClient, name: str) -> None:
    found = refusal(create, client=client, name=name, EventSourceArn=queue(), BatchSize=10_001)
    assert found.error == "ValidationException" and "'batchSize'" in found.message
    position = refusal(create, client=client, name=name, EventSourceArn=stream(), StartingPosition="0")
    assert position.error == "ValidationException" and "'startingPosition'" in position.message


def test_a_mapping_needs_its_function(client: BaseClient, name: str) -> None:
    assert refusal(create, client=client, name="nobody-here", EventSourceArn=queue()) == not_found(
        arn_of("nobody-here")
    )
    assert refusal(create, client=client, name=f"{name}:live", EventSourceArn=queue()) == not_found(
        arn_of(name) + ":live"
    )


def test_a_second_mapping_of_a_source_to_a_function_is_a_conflict(
    client: BaseClient, functions: Functions, name: str
) -> None:
    source, log = queue(), stream()
    first = create(client, name, EventSourceArn=source)
    taken = refusal(create, client=client, name=name, EventSourceArn=source)
    assert taken == Refusal(
        409,
        "ResourceConflictException",
        f'An event source mapping with SQS arn (" {source} ") and function (" {name} ") already exists. Please update '
        f"or delete the existing mapping with UUID {first['UUID']}",
    )
    second = create(client, name, EventSourceArn=log, StartingPosition="LATEST")
    taken = refusal(create, client=client, name=name, EventSourceArn=log, StartingPosition="LATEST")
    assert taken.message == (
        f'The event source arn (" {log} ") and function (" {name} ") provided mapping already exists. Please update or '
        f"delete the existing mapping with UUID {second['UUID']}"
    )
    other = functions.deploy_python(ECHO)
    third = create(client, other, EventSourceArn=source)
    moved = refusal(client.update_event_source_mapping, UUID=third["UUID"], FunctionName=name)
    assert moved.error == "ResourceConflictException"
    assert client.get_event_source_mapping(UUID=third["UUID"])["FunctionArn"] == arn_of(other)
    for made in (first, second, third):
        client.delete_event_source_mapping(UUID=made["UUID"])


def test_of_many_who_make_the_same_mapping_one_does(client: BaseClient, name: str) -> None:
    source = queue()

    def attempt(_: int) -> str | None:
        try:
            return str(create(client, name, EventSourceArn=source)["UUID"])
        except client.exceptions.ResourceConflictException:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [uuid for uuid in pool.map(attempt, range(16)) if uuid]
    assert len(made) == 1
    client.delete_event_source_mapping(UUID=made[0])


def test_lists_go_page_by_page_and_are_filtered(client: BaseClient, functions: Functions) -> None:
    name, other = functions.deploy_python(ECHO), functions.deploy_python(ECHO)
    sources = [queue() for _ in range(5)]
    made = {create(client, name, EventSourceArn=source)["UUID"] for source in sources}
    elsewhere = create(client, other, EventSourceArn=sources[0])["UUID"]
    pages = list(
        client.get_paginator("list_event_source_mappings").paginate(FunctionName=name, PaginationConfig={"PageSize": 2})
    )
    assert [len(page["EventSourceMappings"]) for page in pages] == [2, 2, 1]
    listed = [mapping for page in pages for mapping in page["EventSourceMappings"]]
    assert {mapping["UUID"] for mapping in listed} == made
    assert {mapping["State"] for mapping in listed} == {"Disabled"}
    by_source = client.list_event_source_mappings(EventSourceArn=sources[0])["EventSourceMappings"]
    assert len(by_source) == 2 and elsewhere in {mapping["UUID"] for mapping in by_source}
    both = client.list_event_source_mappings(EventSourceArn=sources[1], FunctionName=other)
    assert both["EventSourceMappings"] == []
    assert refusal(client.list_event_source_mappings, Marker="%").error == "InvalidParameterValueException"
    for uuid in (*made, elsewhere):
        client.delete_event_source_mapping(UUID=uuid)


def test_mappings_have_tags(client: BaseClient, name: str) -> None:
    arn = create(client, name, EventSourceArn=queue(), Tags={"team": "a"})["EventSourceMappingArn"]
    client.tag_resource(Resource=arn, Tags={"stage": "test"})
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "a", "stage": "test"}
    client.untag_resource(Resource=arn, TagKeys=["team"])
    assert client.list_tags(Resource=arn)["Tags"] == {"stage": "test"}
    client.delete_event_source_mapping(UUID=arn.rpartition(":")[2])
    assert refusal(client.list_tags, Resource=arn) == NO_RESOURCE


def test_a_key_for_some_functions_has_their_mappings_only(server: Server, client: BaseClient, name: str) -> None:
    uuid = create(client, name, EventSourceArn=queue())["UUID"]
    stranger = boto_client(server, keys=create_key(server, "--role", "deployer", "--functions", "other-*"))
    for action in (
        stranger.get_event_source_mapping, stranger.update_event_source_mapping, stranger.delete_event_source_mapping,
    ):  # fmt: skip
        assert refusal(action, UUID=uuid).error == "AccessDeniedException"
    assert stranger.list_event_source_mappings()["EventSourceMappings"] == []
    owner = boto_client(server, keys=create_key(server, "--role", "deployer", "--functions", name))
    assert owner.update_event_source_mapping(UUID=uuid, BatchSize=2)["BatchSize"] == 2
    viewer = boto_client(server, keys=create_key(server, "--role", "viewer"))
    assert viewer.get_event_source_mapping(UUID=uuid)["BatchSize"] == 2
    assert refusal(viewer.delete_event_source_mapping, UUID=uuid).error == "AccessDeniedException"
    owner.delete_event_source_mapping(UUID=uuid)


def test_mappings_survive_a_restart_and_the_end_of_their_function(fresh_server: Server, functions_of: Any) -> None:
    functions = functions_of(fresh_server)
    name = functions.deploy_python(ECHO)
    made = create(functions.client, name, EventSourceArn=queue(), Tags={"a": "b"})
    fresh_server.stop()
    fresh_server.start()
    client = functions_of(fresh_server).client
    found = client.get_event_source_mapping(UUID=made["UUID"])
    assert without_metadata(found) == without_metadata(made) | {"State": "Disabled"}
    client.delete_function(FunctionName=name)
    assert client.get_event_source_mapping(UUID=made["UUID"])["FunctionArn"] == arn_of(name)
    client.delete_event_source_mapping(UUID=made["UUID"])


@pytest.mark.parametrize("uuid", ["x", "../../function", "00000000-0000-0000-0000-000000000000", "%00", "a b"])
def test_what_is_no_mapping_is_not_found(client: BaseClient, uuid: str) -> None:
    assert refusal(client.get_event_source_mapping, UUID=uuid) == NO_RESOURCE
