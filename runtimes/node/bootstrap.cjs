// Runs one Node.js function: loads its handler, then answers events that come over the control socket.
//
// Started as `node <options> bootstrap.cjs`, with the function's environment and the control socket at descriptor 3.
// No dependencies, Node.js 20 and later. Modules that few functions need are loaded when they are needed, because each
// costs part of every cold start.
//
// With `--blank` it boots without a function, and waits to be assigned to one (blank.cjs). From then on nothing may tell
// it from a bootstrap that was started for the function.
'use strict';

const channel = require('./channel.cjs');
const console_ = require('./console.cjs');
const { describe, hasCallbacks: asksForCallbacks, withCallbacks } = require('./context.cjs');
const errors = require('./errors.cjs');
const { awslambda, load } = require('./handler.cjs');

const UNSETTLED_AWAIT = 13;
const UNHANDLED_REJECTION = 128;
const UNCAUGHT_EXCEPTION = 129;

const CALLBACKS_REMOVED = 'ERROR: AWS Lambda has removed support for callback-based function handlers starting with ' +
  'Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For ' +
  'more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

let loaded;
let hasCallbacks;
/** The event in work: its id, and the stream of its answer if it has one. */
let current = null;
/** What happens when nothing is left in the event loop. */
let onEmptyLoop = () => process.exit(UNSETTLED_AWAIT);
let isDying = false;

const isPromise = (value) => typeof value?.then === 'function';

function toJson(value) {
  try {
    // Functions and symbols have no JSON text.
    return JSON.stringify(value) ?? 'null';
  } catch {
    const message = 'Unable to stringify response body';
    throw hasCallbacks ? new Error(message) : new errors.JSONStringifyError(message);
  }
}

/** Waits for the next event once the loop has had its turn. */
function scheduleNext() {
  current = null;
  onEmptyLoop = () => {};
  setImmediate(() => {
    const { meta, text } = channel.receive();
    current = { id: meta.id, stream: null };
    console_.setRequest(meta.id, meta.tenant_id);
    // Work that is left from the last event goes on first.
    setImmediate(loaded.isStreaming ? runStreaming : run, meta, text);
  });
}

/** Answers the event in work with an error and its log entry. */
function fail(invocation, thrown, title = 'Invoke Error') {
  if (current !== invocation) return;
  console_.logError(title, thrown);
  end(invocation, channel.ERROR, toJson(errors.documentOf(thrown)), scheduleNext);
}

/** Ends the event in work with this frame; `then` follows. */
function end(invocation, kind, text, then) {
  current = null;
  invocation.stream?.abandon();
  channel.betweenParts(() => {
    channel.send(kind, invocation.id, text);
    then();
  });
}

function run(meta, text) {
  const invocation = current;
  let isDone = false;
  const settle = ({ error, result }) => {
    if (error !== undefined) {
      isDone = true;
      return fail(invocation, error);
    }
    if (isDone) {
      return console.error(
        'Invocation has already been reported as done. Cannot call complete more than once per invocation.',
      );
    }
    const answer = toJson(result);
    isDone = true;
    end(invocation, channel.SUCCESS, answer, scheduleNext);
  };
  onEmptyLoop = () => settle({ result: null });
  try {
    if (hasCallbacks) runWithCallbacks(meta, text, settle);
    else runPlain(meta, text, settle);
  } catch (error) {
    settle({ error: error ?? 'handled' });
  }
}

function runWithCallbacks(meta, text, settle) {
  const invocation = current;
  const whenIdle = (action) => {
    // A callback that comes after its event was answered must not touch the next one.
    if (current === invocation) onEmptyLoop = () => setImmediate(action);
    else action();
  };
  const { context, callback } = withCallbacks((outcome) => {
    if (current === invocation) onEmptyLoop = () => {};
    settle(outcome);
  }, whenIdle);
  try {
    const result = loaded.handler(JSON.parse(text), describe(context, meta), callback);
    if (isPromise(result)) result.then(context.succeed, context.fail).catch(context.fail);
  } catch (error) {
    callback(error ?? 'handled');
  }
}

/** Without callbacks a handler answers by what it returns. The answer waits until rejections have been noticed. */
function runPlain(meta, text, settle) {
  const later = (outcome) => setImmediate(() => {
    try {
      settle(outcome);
    } catch (error) {
      settle({ error });
    }
  });
  const answer = async () => loaded.handler(JSON.parse(text), describe({}, meta));
  answer().then((result) => later({ result }), (error) => later({ error: error ?? 'handled' }));
}

function runStreaming(meta, text) {
  const { ResponseStream } = require('./stream.cjs');
  const invocation = current;
  const stream = new ResponseStream(meta.id, loaded.highWaterMark);
  invocation.stream = stream;
  const failUnfinished = () => fail(invocation, new Error('Response stream is not finished.'));
  onEmptyLoop = () => setImmediate(failUnfinished);
  const finish = (error) => {
    if (error) return fail(invocation, error);
    if (current === invocation) end(invocation, channel.SUCCESS, '', scheduleNext);
  };
  const stream_ = async () => {
    const context = describe(hasCallbacks ? { callbackWaitsForEmptyEventLoop: true } : {}, meta);
    const result = loaded.handler(JSON.parse(text), stream, context);
    if (!isPromise(result)) {
      const message = 'Streaming does not support non-async handlers.';
      throw hasCallbacks ? message : new Error(message);
    }
    if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
    if (stream.errored) throw stream.errored;
    if (stream.writableFinished) return finish();
    if (stream.destroyed) return failUnfinished();
    stream.once('finish', finish).once('error', finish).once('close', failUnfinished);
  };
  stream_().catch((error) => fail(invocation, error));
}

/** Reports what nobody caught, in place of the event's answer or of readiness, and ends the process. */
function die(title, thrown, status) {
  if (isDying) return;
  isDying = true;
  const leave = () => process.exit(status);
  const wasReady = loaded !== undefined;
  console_.logError(title, thrown);
  if (wasReady && !current) leave();
  const kind = wasReady ? channel.LAST_WORDS : channel.INIT_ERROR;
  end(current ?? { id: '' }, kind, toJson(errors.documentOf(thrown)), leave);
}

async function main() {
  if (process.argv[2] === '--blank') await require('./blank.cjs').becomeAssigned();
  hasCallbacks = asksForCallbacks();
  console_.install();
  process.on('uncaughtException', (error) => die('Uncaught Exception', error, UNCAUGHT_EXCEPTION));
  process.on('unhandledRejection', (reason, promise) => {
    const error = new errors.UnhandledPromiseRejection(reason, promise);
    die('Unhandled Promise Rejection', error, UNHANDLED_REJECTION);
  });
  process.on('beforeExit', () => onEmptyLoop());
  const variable = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (variable !== '1' && variable !== 'true') globalThis.awslambda = awslambda;
  const began = process.hrtime.bigint();
  try {
    const found = await load(process.env.LAMBDA_TASK_ROOT || '/var/task', process.env._HANDLER ?? '');
    if (!hasCallbacks && !found.isStreaming && found.handler.length >= 3) {
      throw new errors.CallbackHandlerDeprecated(CALLBACKS_REMOVED);
    }
    channel.send(channel.READY, '', String((process.hrtime.bigint() - began) / 1000n));
    loaded = found;
  } catch (error) {
    die('Uncaught Exception', error, UNCAUGHT_EXCEPTION);
  }
  scheduleNext();
}

main();
