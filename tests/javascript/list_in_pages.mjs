import assert from "node:assert/strict";
import { paginateListFunctions } from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

await create();
const names = [];
for await (const page of paginateListFunctions({ client: lambda, pageSize: 2 }, {})) {
  assert.ok(page.Functions.length <= 2);
  names.push(...page.Functions.map((entry) => entry.FunctionName));
}
assert.ok(names.includes(name));
assert.equal(new Set(names).size, names.length);
