// The handler of the Node column: what each operation of the behaviours does.
import { execSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

const instance = randomUUID();
let calls = 0;
let lastTick = null;
let gap = 0;

class Odd extends Error {
  constructor(message) {
    super(message);
    this.name = "Odd";
  }
}

const attempt = (action, otherwise) => {
  try {
    return action();
  } catch {
    return otherwise;
  }
};

const operations = {
  context: (_, context) => ({
    requestId: context.awsRequestId,
    functionName: context.functionName,
    functionVersion: context.functionVersion,
    memoryMb: Number(context.memoryLimitInMB),
    arn: context.invokedFunctionArn,
    logGroup: context.logGroupName,
    logStream: context.logStreamName,
    remainingMs: context.getRemainingTimeInMillis(),
    custom: context.clientContext?.custom ?? context.clientContext?.Custom ?? null,
    trace: process.env._X_AMZN_TRACE_ID ?? null,
  }),
  environment: () => ({ ...process.env }),
  fail: (message) => {
    throw new Odd(message);
  },
  panic: (message) => {
    setImmediate(() => {
      throw new Odd(message);
    });
    return wait(5000);
  },
  exit: (code) => process.exit(code),
  signal: (number) => {
    process.kill(process.pid, number);
    return wait(5000);
  },
  sleep: async (milliseconds) => {
    await wait(milliseconds);
    return "slept";
  },
  letters: (number) => "x".repeat(number),
  length: (text) => text.length,
  unserialisable: () => 1n,
  print: (lines) => {
    for (const [stream, text] of lines) (stream === "out" ? process.stdout : process.stderr).write(`${text}\n`);
    return null;
  },
  count: async (holdMs) => {
    if (holdMs) await wait(holdMs);
    calls += 1;
    return { instance, calls };
  },
  write: ({ path, text }) => attempt(() => writeFileSync(path, text) ?? "written", "refused"),
  read: (path) => attempt(() => readFileSync(path, "utf8"), null),
  list: (path) => readdirSync(path).sort(),
  stat: (path) => {
    const found = statSync(path);
    return { mode: (found.mode & 0o7777).toString(8), owner: found.uid };
  },
  cwd: () => process.cwd(),
  run: (command) => execSync(command, { encoding: "utf8", shell: "/bin/sh" }),
  ticks: async (start) => {
    if (start) {
      setInterval(() => {
        const now = performance.now();
        if (lastTick !== null) gap = Math.max(gap, now - lastTick);
        lastTick = now;
      }, 10);
    }
    await wait(100);
    return gap;
  },
  allocate: (megabytes) => {
    const kept = [];
    for (let each = 0; each < megabytes; each += 1) kept.push(Buffer.alloc(1_000_000, 1));
    return kept.length ? "allocated" : "";
  },
};

export const handler = async (event, context) =>
  event !== null && typeof event === "object" && "op" in event ? operations[event.op](event.value, context) : event;

console.log("initialising");
if (process.env.INIT === "fail") throw new Odd("at init");
if (process.env.INIT === "exit") process.exit(9);
