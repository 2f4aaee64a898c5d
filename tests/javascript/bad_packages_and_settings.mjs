import assert from "node:assert/strict";
import { GetFunctionCommand, UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

const refused = async (settings, error, message) =>
  assert.rejects(create(settings), (found) => {
    assert.equal(found.name, error);
    assert.match(found.message, message);
    return true;
  });

const unreadable = { ZipFile: Buffer.from("no zip at all") };
await refused({ Code: unreadable }, "InvalidParameterValueException", /^Could not unzip uploaded file/);
await refused({ Timeout: 901 }, "ValidationException", /at 'timeout' failed to satisfy constraint/);
await refused({ MemorySize: 127, Timeout: 0 }, "ValidationException", /^2 validation errors detected/);
await refused({ Role: "nobody" }, "ValidationException", /at 'role' failed to satisfy constraint/);
const reserved = { Variables: { AWS_REGION: "moon-1" } };
await refused({ Environment: reserved }, "InvalidParameterValueException", /reserved keys .* AWS_REGION/);
const large = { Variables: { LARGE: "x".repeat(4096) } };
await refused({ Environment: large }, "InvalidParameterValueException", /4KB limit/);
await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: name })), { name: "ResourceNotFoundException" });
await create();
const update = new UpdateFunctionConfigurationCommand({ FunctionName: name, EphemeralStorage: { Size: 511 } });
await assert.rejects(lambda.send(update), { name: "ValidationException" });
