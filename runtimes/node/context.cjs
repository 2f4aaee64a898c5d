// What a handler gets as its context, and the ways in which it may answer.
'use strict';

// From this version on AWS has neither callbacks nor the members of the context that go with them.
const WITHOUT_CALLBACKS = 24;

/** Whether handlers may answer by a callback. */
exports.hasCallbacks = () => {
  const execution = /^AWS_Lambda_nodejs(\d+)\./.exec(process.env.AWS_EXECUTION_ENV ?? '');
  return Number(execution?.[1] ?? process.versions.node.split('.')[0]) < WITHOUT_CALLBACKS;
};

const parse = (text, name) => {
  if (text === undefined || text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
};

/** Adds what is known of the function and of this event to a context. */
exports.describe = (context, meta) => {
  const { env } = process;
  if (meta.trace_id) env._X_AMZN_TRACE_ID = meta.trace_id;
  else delete env._X_AMZN_TRACE_ID;
  return Object.assign(context, {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse(meta.client_context, 'ClientContext'),
    identity: parse(meta.cognito_identity, 'CognitoIdentity'),
    invokedFunctionArn: meta.arn,
    awsRequestId: meta.id,
    tenantId: meta.tenant_id ?? undefined,
    getRemainingTimeInMillis: () => meta.deadline_ms - Date.now(),
  });
};

/**
 * The callback and the context's older ways to answer. `settle(error, result)` answers now; `whenIdle(action)` keeps an
 * action until the event loop is empty. Only the first call of any of them counts.
 */
exports.withCallbacks = (settle, whenIdle) => {
  let waitsForEmptyEventLoop = true;
  let isFinished = false;
  const first = (action) => (...values) => {
    if (isFinished) return;
    action(...values);
    isFinished = true;
  };
  const isFailure = (error) => error !== undefined && error !== null;
  const done = (error, result) => settle(isFailure(error) ? { error } : { result });
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waitsForEmptyEventLoop;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waitsForEmptyEventLoop = value;
    },
    succeed: first((result) => done(null, result)),
    fail: first((error) => done(isFailure(error) ? error : 'handled')),
    done: first(done),
  };
  const callback = first((error, result) => {
    if (isFailure(error) || !waitsForEmptyEventLoop) done(error, result);
    else whenIdle(() => done(null, result));
  });
  return { context, callback };
};
