import assert from "node:assert/strict";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { sts } from "./client.mjs";

const identity = await sts.send(new GetCallerIdentityCommand({}));
assert.match(identity.Account, /^\d{12}$/);
assert.equal(identity.UserId, process.env.AWS_ACCESS_KEY_ID);
assert.equal(identity.Arn, `arn:aws:iam::${identity.Account}:user/${identity.UserId}`);
