import assert from "node:assert/strict";
import {
  CreateEventSourceMappingCommand,
  DeleteEventSourceMappingCommand,
  GetEventSourceMappingCommand,
  GetFunctionConfigurationCommand,
  InvalidParameterValueException,
  InvokeCommand,
  ListTagsCommand,
  paginateListEventSourceMappings,
  ResourceConflictException,
  ResourceNotFoundException,
  TagResourceCommand,
  UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

const ask = (Command, input) => lambda.send(new Command(input));

await create({ TenancyConfig: { TenantIsolationMode: "PER_TENANT" } });
const found = await ask(GetFunctionConfigurationCommand, { FunctionName: name });
assert.equal(found.TenancyConfig.TenantIsolationMode, "PER_TENANT");
const Payload = JSON.stringify(1);
await assert.rejects(ask(InvokeCommand, { FunctionName: name, Payload }), InvalidParameterValueException);
const answer = await ask(InvokeCommand, { FunctionName: name, Payload, TenantId: "blue" });
assert.equal(Buffer.from(answer.Payload).toString(), "1");

const EventSourceArn = `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`;
const source = { FunctionName: name, EventSourceArn, StartingPosition: "AT_TIMESTAMP" };
const StartingPositionTimestamp = new Date("2026-11-20T08:00:00Z");
const made = await ask(CreateEventSourceMappingCommand, { ...source, StartingPositionTimestamp, Enabled: false });
assert.equal(made.State, "Creating");
assert.deepEqual(made.StartingPositionTimestamp, StartingPositionTimestamp);
assert.ok(made.LastModified instanceof Date);
const { UUID } = made;
const again = { ...source, StartingPositionTimestamp, Enabled: false };
await assert.rejects(ask(CreateEventSourceMappingCommand, again), ResourceConflictException);
const refused = ask(UpdateEventSourceMappingCommand, { UUID, Enabled: true });
await assert.rejects(refused, InvalidParameterValueException);
await ask(UpdateEventSourceMappingCommand, { UUID, BatchSize: 7 });
const read = await ask(GetEventSourceMappingCommand, { UUID });
assert.deepEqual([read.State, read.BatchSize], ["Disabled", 7]);
await ask(TagResourceCommand, { Resource: read.EventSourceMappingArn, Tags: { a: "b" } });
assert.deepEqual((await ask(ListTagsCommand, { Resource: read.EventSourceMappingArn })).Tags, { a: "b" });
const listed = [];
for await (const page of paginateListEventSourceMappings({ client: lambda, pageSize: 1 }, { EventSourceArn })) {
  listed.push(...page.EventSourceMappings);
}
assert.deepEqual(listed.map((mapping) => mapping.UUID), [UUID]);
await ask(DeleteEventSourceMappingCommand, { UUID });
await assert.rejects(ask(GetEventSourceMappingCommand, { UUID }), ResourceNotFoundException);
