import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import {
  AddLayerVersionPermissionCommand,
  CodeVerificationFailedException,
  CreateCodeSigningConfigCommand,
  DeleteCodeSigningConfigCommand,
  DeleteFunctionCodeSigningConfigCommand,
  DeleteLayerVersionCommand,
  GetCodeSigningConfigCommand,
  GetFunctionCodeSigningConfigCommand,
  GetFunctionCommand,
  GetLayerVersionByArnCommand,
  GetLayerVersionCommand,
  GetLayerVersionPolicyCommand,
  ListFunctionsByCodeSigningConfigCommand,
  paginateListCodeSigningConfigs,
  paginateListLayers,
  paginateListLayerVersions,
  PublishLayerVersionCommand,
  PutFunctionCodeSigningConfigCommand,
  RemoveLayerVersionPermissionCommand,
  ResourceNotFoundException,
  UpdateCodeSigningConfigCommand,
  UpdateFunctionCodeCommand,
} from "@aws-sdk/client-lambda";
import { create, lambda, name } from "./client.mjs";

const ask = (Command, input) => lambda.send(new Command(input));
const all = async (pages, member) => {
  const found = [];
  for await (const page of pages) found.push(...page[member]);
  return found;
};

const ZipFile = await readFile(process.env.PACKAGE);
const version = await ask(PublishLayerVersionCommand, { LayerName: name, Content: { ZipFile }, Description: "d" });
assert.equal(version.Version, 1);
await ask(PublishLayerVersionCommand, { LayerName: name, Content: { ZipFile } });
const one = { LayerName: name, VersionNumber: 1 };
const read = await ask(GetLayerVersionCommand, one);
assert.equal(read.LayerVersionArn, version.LayerVersionArn);
const content = await fetch(read.Content.Location);
assert.deepEqual(Buffer.from(await content.arrayBuffer()), ZipFile);
const byArn = await ask(GetLayerVersionByArnCommand, { Arn: version.LayerVersionArn });
assert.equal(byArn.Content.CodeSha256, read.Content.CodeSha256);
const paging = { client: lambda, pageSize: 1 };
const versions = await all(paginateListLayerVersions(paging, { LayerName: name }), "LayerVersions");
assert.deepEqual(versions.map((item) => item.Version), [2, 1]);
const layers = await all(paginateListLayers(paging, {}), "Layers");
assert.equal(layers.filter((item) => item.LayerName === name).length, 1);

const permission = { ...one, StatementId: "s", Action: "lambda:GetLayerVersion", Principal: "*" };
const added = await ask(AddLayerVersionPermissionCommand, permission);
const policy = await ask(GetLayerVersionPolicyCommand, one);
assert.deepEqual(JSON.parse(policy.Policy).Statement, [JSON.parse(added.Statement)]);
assert.equal(policy.RevisionId, added.RevisionId);
await ask(RemoveLayerVersionPermissionCommand, { ...one, StatementId: "s" });
await assert.rejects(ask(GetLayerVersionPolicyCommand, one), ResourceNotFoundException);

const AllowedPublishers = { SigningProfileVersionArns: ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/a/b"] };
const config = (await ask(CreateCodeSigningConfigCommand, { AllowedPublishers })).CodeSigningConfig;
const { CodeSigningConfigArn } = config;
const found = await ask(GetCodeSigningConfigCommand, { CodeSigningConfigArn });
assert.deepEqual(found.CodeSigningConfig, config);
const configs = await all(paginateListCodeSigningConfigs(paging, {}), "CodeSigningConfigs");
assert.equal(configs.filter((item) => item.CodeSigningConfigArn === CodeSigningConfigArn).length, 1);

await create({ Layers: [version.LayerVersionArn] });
await ask(PutFunctionCodeSigningConfigCommand, { FunctionName: name, CodeSigningConfigArn });
const users = await ask(ListFunctionsByCodeSigningConfigCommand, { CodeSigningConfigArn });
assert.equal(users.FunctionArns.length, 1);
const CodeSigningPolicies = { UntrustedArtifactOnDeployment: "Enforce" };
await ask(UpdateCodeSigningConfigCommand, { CodeSigningConfigArn, CodeSigningPolicies });
await assert.rejects(ask(UpdateFunctionCodeCommand, { FunctionName: name, ZipFile }), CodeVerificationFailedException);
await ask(DeleteFunctionCodeSigningConfigCommand, { FunctionName: name });
const none = await ask(GetFunctionCodeSigningConfigCommand, { FunctionName: name });
assert.equal(none.CodeSigningConfigArn, undefined);
await ask(DeleteCodeSigningConfigCommand, { CodeSigningConfigArn });
await ask(DeleteLayerVersionCommand, one);
const kept = await ask(GetFunctionCommand, { FunctionName: name });
assert.equal(kept.Configuration.Layers[0].Arn, version.LayerVersionArn);
await assert.rejects(ask(GetLayerVersionCommand, one), ResourceNotFoundException);
