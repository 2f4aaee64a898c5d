"""Roles, their policies and their sessions, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient

from harness.functions import boto_client, unique_name
from harness.server import ACCOUNT, Keys, Server


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} | more)


LAMBDA = trust({"Service": "lambda.amazonaws.com"})
ACCOUNT_TRUST = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
SERVER_ADMIN = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@dataclass(frozen=True)
class Session:
    """Somebody who has assumed a role."""

    server: Server
    keys: Keys
    token: str
    arn: str

    def client(self, service: str = "lambda") -> BaseClient:
        return boto_client(self.server, service, self.keys, token=self.token)


def assume(server: Server, role_arn: str, sts: BaseClient | None = None, **parameters: Any) -> Session:
    sts = sts or boto_client(server, "sts")
    answer = sts.assume_role(**({"RoleArn": role_arn, "RoleSessionName": "session"} | parameters))
    given = answer["Credentials"]
    keys = Keys(given["AccessKeyId"], given["SecretAccessKey"])
    return Session(server, keys, given["SessionToken"], answer["AssumedRoleUser"]["Arn"])


def make_role(iam: BaseClient, *statements: dict[str, Any], trusted: str = ACCOUNT_TRUST, **more: Any) -> str:
    """A role with these statements; returns its ARN."""
    name = unique_name("role")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **more)
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
    return str(made["Role"]["Arn"])


def denied(arn: str, action: str, resource: str, why: str | None = None) -> str:
    why = why or f"because no identity-based policy allows the {action} action"
    return f"User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
