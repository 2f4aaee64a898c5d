import assert from "node:assert/strict";
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

await create();
const answer = await lambda.send(new InvokeCommand({ FunctionName: name, Payload: '"fail"' }));
assert.equal(answer.StatusCode, 200);
assert.equal(answer.FunctionError, "Unhandled");
const document = JSON.parse(answer.Payload.transformToString());
assert.equal(document.errorType, "ValueError");
assert.equal(document.errorMessage, "on purpose");
