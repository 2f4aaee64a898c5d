"""Tenant isolation: an instance serves one tenant only, whom every call names."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from harness.functions import ECHO, Functions
from harness.refusals import invalid_parameter, refusal

PER_TENANT = {"TenantIsolationMode": "PER_TENANT"}
MISSING = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
UNWANTED = (
    "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try "
    "again."
)
SEEN = """
import os
SEEN = set()
def handler(event, context):
    SEEN.add(context.tenant_id)
    open('/tmp/' + context.tenant_id, 'w').close()
    return {'tenant': context.tenant_id, 'seen': sorted(SEEN), 'files': sorted(os.listdir('/tmp'))}
"""


def call(functions: Functions, name: str, tenant: str, **parameters: Any) -> Any:
    return functions.invoke(name, {}, TenantId=tenant, **parameters).value


def test_a_call_names_its_tenant_where_the_function_asks_for_it_and_nowhere_else(functions: Functions) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT)
    assert functions.client.get_function_configuration(FunctionName=name)["TenancyConfig"] == PER_TENANT
    assert refusal(lambda: functions.invoke(name)) == invalid_parameter(MISSING)
    assert refusal(lambda: functions.invoke(name, InvocationType="DryRun")) == invalid_parameter(MISSING)
    streamed = refusal(lambda: functions.client.invoke_with_response_stream(FunctionName=name))
    assert streamed == invalid_parameter(MISSING)
    assert call(functions, name, "blue")["tenant"] == "blue"
    plain = functions.deploy_python(ECHO)
    assert "TenancyConfig" not in functions.client.get_function_configuration(FunctionName=plain)
    assert refusal(lambda: functions.invoke(plain, TenantId="blue")) == invalid_parameter(UNWANTED)


def test_an_event_is_run_for_its_tenant(functions: Functions) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT, Timeout=60)
    send = partial(functions.client.invoke, FunctionName=name, InvocationType="Event")
    assert refusal(lambda: send()) == invalid_parameter(MISSING)
    for tenant in ("blue", "green"):
        assert send(TenantId=tenant)["StatusCode"] == 202
    for tenant in ("blue", "green"):
        # Whatever instance answers, only this tenant has been there.
        assert call(functions, name, tenant)["seen"] == [tenant]


def test_no_instance_serves_two_tenants(functions: Functions) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT, Timeout=60)
    tenants = ["blue", "green", "red"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: call(functions, name, tenants[number % 3]), range(60)))
    for number, answer in enumerate(answers):
        tenant = tenants[number % 3]
        assert answer == {"tenant": tenant, "seen": [tenant], "files": [tenant]}


def test_an_instance_stays_with_its_tenant_when_its_runtime_is_started_again(functions: Functions) -> None:
    code = SEEN.replace("SEEN.add", "event.get('die') and os._exit(1); SEEN.add")
    name = functions.deploy_python(code, TenancyConfig=PER_TENANT)
    assert call(functions, name, "blue")["files"] == ["blue"]
    died = functions.invoke(name, {"die": True}, TenantId="blue")
    assert died.function_error == "Unhandled"
    assert call(functions, name, "green") == {"tenant": "green", "seen": ["green"], "files": ["green"]}
    assert call(functions, name, "blue")["seen"] == ["blue"]


def test_every_runtime_is_told_the_tenant(functions: Functions) -> None:
    node = functions.deploy_node(
        "export const handler = async (event, context) => context.tenantId;\n", TenancyConfig=PER_TENANT
    )
    assert call(functions, node, "blue") == "blue"
    bootstrap = """#!/bin/sh
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
    curl -sS -D /tmp/head "$API/next" > /dev/null
    field() { sed -n "s/^$1: *//Ip" /tmp/head | tr -d '\\r'; }
    ID=$(field Lambda-Runtime-Aws-Request-Id)
    curl -sS -X POST -d "\\"$(field Lambda-Runtime-Aws-Tenant-Id)\\"" "$API/$ID/response"
done
"""
    custom = functions.deploy_custom(bootstrap, TenancyConfig=PER_TENANT, Timeout=30)
    assert call(functions, custom, "green tenant") == "green tenant"


def test_json_logs_name_the_tenant(functions: Functions) -> None:
    settings = {"TenancyConfig": PER_TENANT, "LoggingConfig": {"LogFormat": "JSON"}}
    python = "import logging\ndef handler(event, context):\n    logging.getLogger().error('said')\n"
    node = "export const handler = async () => console.error('said');\n"
    for name in (functions.deploy_python(python, **settings), functions.deploy_node(node, **settings)):
        log = functions.invoke(name, {}, TenantId="blue", LogType="Tail").log
        (entry,) = [json.loads(line) for line in log.splitlines() if '"said"' in line]
        assert entry["tenantId"] == "blue"


def test_versions_keep_the_setting(functions: Functions) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT)
    version = functions.client.publish_version(FunctionName=name)
    assert version["TenancyConfig"] == PER_TENANT
    assert refusal(lambda: functions.invoke(name, Qualifier="1")) == invalid_parameter(MISSING)
    assert call(functions, name, "blue", Qualifier="1")["seen"] == ["blue"]


def test_what_cannot_be_kept_apart_is_refused(functions: Functions) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT)
    functions.client.publish_version(FunctionName=name)
    url = refusal(lambda: functions.client.create_function_url_config(FunctionName=name, AuthType="NONE"))
    assert url == invalid_parameter("Function URLs are not supported for functions with tenancy configuration.")
    provisioned = refusal(
        lambda: functions.client.put_provisioned_concurrency_config(
            FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
        )
    )
    assert provisioned == invalid_parameter(
        "Provisioned concurrency is not supported for functions with tenancy configuration."
    )
    snapshots = refusal(
        lambda: functions.deploy_python(SEEN, TenancyConfig=PER_TENANT, SnapStart={"ApplyOn": "PublishedVersions"})
    )
    assert snapshots == invalid_parameter("SnapStart is not supported for functions with tenancy configuration.")


@pytest.mark.parametrize("tenant", ["", "x" * 257, "a;b"])
def test_ids_of_tenants_have_a_form(functions: Functions, tenant: str) -> None:
    name = functions.deploy_python(SEEN, TenancyConfig=PER_TENANT)
    found = refusal(lambda: functions.invoke(name, TenantId=tenant))
    assert (found.status, found.error) == (400, "ValidationException"), json.dumps(found.message)
    assert "tenantId" in found.message
