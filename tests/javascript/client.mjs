// What the scripts share: clients configured by the environment alone, and a function to work on.
import { readFile } from "node:fs/promises";
import { CreateFunctionCommand, LambdaClient, waitUntilFunctionActiveV2 } from "@aws-sdk/client-lambda";
import { STSClient } from "@aws-sdk/client-sts";

export const name = process.env.FUNCTION_NAME;
export const lambda = new LambdaClient({ maxAttempts: 1 });
export const sts = new STSClient({ maxAttempts: 1 });
export const pace = { client: lambda, maxWaitTime: 20, minDelay: 1, maxDelay: 1 };

export async function create(settings = {}) {
  const made = await lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Runtime: process.env.RUNTIME,
      Handler: "app.handler",
      Role: process.env.ROLE,
      Code: { ZipFile: await readFile(process.env.PACKAGE) },
      ...settings,
    }),
  );
  await waitUntilFunctionActiveV2(pace, { FunctionName: name });
  return made;
}
