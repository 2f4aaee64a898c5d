"""`AWS_ENDPOINT_URL` sends every service to the server: the others' clients read why that does not help."""

import re

import pytest

from harness.functions import boto_client
from harness.refusals import refusal
from harness.server import ACCOUNT, Server
from harness.tools import aws_program, plain_environment, run
from harness.wire import signed

# One of each form of error: S3's XML, EC2's, the query protocol's, REST and XML, JSON 1.0 and 1.1, REST and JSON, CBOR.
CALLS = [
    ("s3", "list_buckets", {}, "s3"),
    ("s3", "put_object", {"Bucket": "bucket", "Key": "key", "Body": b"x" * 100_000}, "s3"),
    ("ec2", "describe_instances", {}, "ec2"),
    ("sns", "list_topics", {}, "sns"),
    ("route53", "list_hosted_zones", {}, "route53"),
    ("sqs", "list_queues", {}, "sqs"),
    ("dynamodb", "list_tables", {}, "dynamodb"),
    ("kinesis", "list_streams", {}, "kinesis"),
    ("apigateway", "get_rest_apis", {}, "apigateway"),
    ("cloudwatch", "list_metrics", {}, "monitoring"),
]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "named"), CALLS, ids=[f"{call[0]} {call[1]}" for call in CALLS]
)
def test_clients_of_other_services_read_what_this_endpoint_serves(
    server: Server, service: str, operation: str, parameters: dict[str, object], named: str
) -> None:
    found = refusal(getattr(boto_client(server, service), operation), **parameters)
    assert (found.status, found.error) == (501, "NotImplemented"), found
    assert f"serves lambda, logs, iam, sts only, not {named}:" in found.message, found
    assert "AWS_ENDPOINT_URL_LAMBDA" in found.message, found


def test_aws_s3_says_what_this_endpoint_serves(server: Server) -> None:
    finished = run([aws_program(), "s3", "ls"], plain_environment() | server.environment())
    assert finished.status != 0 and "serves lambda, logs, iam, sts only, not s3" in finished.errors, finished


def test_the_variables_of_single_services_leave_the_others_alone(server: Server) -> None:
    variables = server.environment()
    endpoint = variables.pop("AWS_ENDPOINT_URL")
    single = variables | {"AWS_ENDPOINT_URL_LAMBDA": endpoint, "AWS_ENDPOINT_URL_STS": endpoint}
    identity = run([aws_program(), "sts", "get-caller-identity"], plain_environment() | single).ok()
    assert ACCOUNT in identity.output
    run([aws_program(), "lambda", "list-functions"], plain_environment() | single).ok()


def test_a_name_of_a_service_that_is_none_is_not_repeated(server: Server) -> None:
    answer = signed(server, "GET", "/bucket", service="<b>")
    assert answer.status == 501 and b"not that service:" in answer.body and b"<b>" not in answer.body, answer
    assert re.search(rb"serves lambda, logs, iam, sts only", answer.body)
