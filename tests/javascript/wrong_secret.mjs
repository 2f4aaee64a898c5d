import assert from "node:assert/strict";
import { LambdaClient, ListFunctionsCommand } from "@aws-sdk/client-lambda";

const credentials = { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "x".repeat(40) };
const stranger = new LambdaClient({ maxAttempts: 1, credentials });
await assert.rejects(stranger.send(new ListFunctionsCommand({})), (error) => {
  assert.equal(error.name, "InvalidSignatureException");
  assert.equal(error.$metadata.httpStatusCode, 403);
  return true;
});
