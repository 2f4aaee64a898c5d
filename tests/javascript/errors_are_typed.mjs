import assert from "node:assert/strict";
import {
  GetFunctionCommand,
  ResourceConflictException,
  ResourceNotFoundException,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: name })), (error) => {
  assert.ok(error instanceof ResourceNotFoundException);
  assert.equal(error.$metadata.httpStatusCode, 404);
  assert.match(error.message, /^Function not found: arn:aws:lambda:/);
  assert.equal(error.Type, "User");
  assert.ok(error.$metadata.requestId);
  return true;
});
await create();
await assert.rejects(create(), (error) => error instanceof ResourceConflictException);
const update = new UpdateFunctionConfigurationCommand({ FunctionName: name, MemorySize: 1 });
await assert.rejects(lambda.send(update), (error) => {
  assert.equal(error.name, "ValidationException");
  assert.match(error.message, /^1 validation error detected: Value '1' at 'memorySize' failed/);
  return true;
});
