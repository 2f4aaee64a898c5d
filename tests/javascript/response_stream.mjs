import assert from "node:assert/strict";
import { InvokeWithResponseStreamCommand } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

async function stream(payload, settings = {}) {
  const answer = await lambda.send(
    new InvokeWithResponseStreamCommand({ FunctionName: name, Payload: JSON.stringify(payload), ...settings }),
  );
  const events = [];
  for await (const event of answer.EventStream) events.push(event);
  return { answer, events };
}

await create();
const { answer, events } = await stream([1, "zwei"]);
assert.equal(answer.$metadata.httpStatusCode, 200);
assert.equal(answer.ExecutedVersion, "$LATEST");
assert.equal(events.length, 2);
assert.deepEqual(JSON.parse(new TextDecoder().decode(events[0].PayloadChunk.Payload)), [1, "zwei"]);
assert.equal(events[1].InvokeComplete.ErrorCode, undefined);
const failed = await stream("fail", { LogType: "Tail" });
assert.equal(failed.events.length, 1);
const { ErrorCode, ErrorDetails, LogResult } = failed.events[0].InvokeComplete;
assert.equal(ErrorCode, "ValueError");
assert.equal(JSON.parse(ErrorDetails).errorMessage, "on purpose");
assert.match(Buffer.from(LogResult, "base64").toString(), /log line\n/);
const missing = new InvokeWithResponseStreamCommand({ FunctionName: `${name}-not` });
await assert.rejects(lambda.send(missing), { name: "ResourceNotFoundException" });
