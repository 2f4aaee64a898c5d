import assert from "node:assert/strict";
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

const made = await create({ Environment: { Variables: { FIRST: "1" } } });
assert.equal(made.State, "Pending");
assert.deepEqual(made.Environment.Variables, { FIRST: "1" });
const answer = await lambda.send(
  new InvokeCommand({ FunctionName: name, Payload: JSON.stringify({ text: "無為" }), LogType: "Tail" }),
);
assert.equal(answer.StatusCode, 200);
assert.equal(answer.FunctionError, undefined);
assert.equal(answer.ExecutedVersion, "$LATEST");
assert.deepEqual(JSON.parse(answer.Payload.transformToString()), { text: "無為" });
assert.match(Buffer.from(answer.LogResult, "base64").toString(), /log line\nEND RequestId: /);
