import assert from "node:assert/strict";
import {
  DeleteFunctionCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  PublishVersionCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { create, lambda, name, pace } from "./client.mjs";

await create();
await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, Timeout: 9 }));
await waitUntilFunctionUpdatedV2(pace, { FunctionName: name });
const found = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
assert.equal(found.Timeout, 9);
const version = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
assert.equal(version.Version, "1");
const { Code } = await lambda.send(new GetFunctionCommand({ FunctionName: name, Qualifier: "1" }));
const download = await fetch(Code.Location);
assert.equal(download.status, 200);
assert.equal(Buffer.from(await download.arrayBuffer()).subarray(0, 2).toString(), "PK");
await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: name })), { name: "ResourceNotFoundException" });
