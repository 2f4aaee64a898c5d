import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import {
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  ListVersionsByFunctionCommand,
  PreconditionFailedException,
  PublishVersionCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { create, lambda, name, pace } from "./client.mjs";

await create();
const before = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
const stale = new UpdateFunctionConfigurationCommand({ FunctionName: name, Timeout: 5, RevisionId: crypto.randomUUID() });
await assert.rejects(lambda.send(stale), (error) => {
  assert.ok(error instanceof PreconditionFailedException);
  assert.equal(error.$metadata.httpStatusCode, 412);
  return true;
});
const fresh = new UpdateFunctionConfigurationCommand({ FunctionName: name, Timeout: 5, RevisionId: before.RevisionId });
const after = await lambda.send(fresh);
assert.notEqual(after.RevisionId, before.RevisionId);
await waitUntilFunctionUpdatedV2(pace, { FunctionName: name });

const ZipFile = await readFile(process.env.PACKAGE);
const tried = await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: name, ZipFile, DryRun: true }));
assert.equal(tried.CodeSha256, before.CodeSha256);
const wrong = new PublishVersionCommand({ FunctionName: name, CodeSha256: Buffer.alloc(32).toString("base64") });
await assert.rejects(lambda.send(wrong), { name: "InvalidParameterValueException" });
const first = await lambda.send(new PublishVersionCommand({ FunctionName: name, CodeSha256: before.CodeSha256 }));
const again = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
assert.deepEqual([first.Version, again.Version], ["1", "1"]);
const { Versions } = await lambda.send(new ListVersionsByFunctionCommand({ FunctionName: name }));
assert.deepEqual(Versions.map((version) => version.Version), ["$LATEST", "1"]);
const missing = new GetFunctionCommand({ FunctionName: name, Qualifier: "7" });
await assert.rejects(lambda.send(missing), { name: "ResourceNotFoundException" });
