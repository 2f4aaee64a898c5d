import assert from "node:assert/strict";
import { InvokeCommand, PublishVersionCommand, RequestTooLargeException } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

const invoke = (settings) => lambda.send(new InvokeCommand({ FunctionName: name, ...settings }));

await create();
const dry = await invoke({ InvocationType: "DryRun" });
assert.equal(dry.StatusCode, 204);
await lambda.send(new PublishVersionCommand({ FunctionName: name }));
const versioned = await invoke({ Qualifier: "1", Payload: "[1, 2]" });
assert.equal(versioned.ExecutedVersion, "1");
assert.deepEqual(JSON.parse(versioned.Payload.transformToString()), [1, 2]);
const inName = await invoke({ FunctionName: `${name}:1`, Payload: "3" });
assert.equal(inName.ExecutedVersion, "1");
await assert.rejects(invoke({ Payload: "{" }), (error) => {
  assert.equal(error.name, "InvalidRequestContentException");
  assert.match(error.message, /^Could not parse request body into json/);
  return true;
});
await assert.rejects(invoke({ Payload: JSON.stringify("x".repeat(6_291_456)) }), (error) => {
  assert.ok(error instanceof RequestTooLargeException);
  assert.equal(error.$metadata.httpStatusCode, 413);
  return true;
});
await assert.rejects(invoke({ Qualifier: "9" }), { name: "ResourceNotFoundException" });
await assert.rejects(invoke({ FunctionName: `${name}:1`, Qualifier: "2" }), { name: "InvalidParameterValueException" });
const calls = await Promise.all([1, 2, 3, 4].map((number) => invoke({ Payload: String(number) })));
assert.deepEqual(calls.map((call) => Number(call.Payload.transformToString())), [1, 2, 3, 4]);
