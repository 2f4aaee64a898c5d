// Errors of the runtime, and how errors are shown to callers and in logs. The members and their order follow AWS's
// runtime, because clients and tests compare them.
'use strict';

/** A class of errors whose type is `Runtime.<name>`. */
function errorClass(name) {
  const made = class extends Error {};
  Object.defineProperty(made, 'name', { value: name });
  Object.defineProperty(made.prototype, 'name', { value: `Runtime.${name}`, configurable: true, writable: true });
  return made;
}

exports.ImportModuleError = errorClass('ImportModuleError');
exports.HandlerNotFound = errorClass('HandlerNotFound');
exports.MalformedHandlerName = errorClass('MalformedHandlerName');
exports.MalformedStreamingHandler = errorClass('MalformedStreamingHandler');
exports.InvalidStreamingOperation = errorClass('InvalidStreamingOperation');
exports.CallbackHandlerDeprecated = errorClass('CallbackHandlerDeprecated');
exports.JSONStringifyError = errorClass('JSONStringifyError');

/** Code that the engine could not parse; shows the stack of the parser, which names the place. */
exports.UserCodeSyntaxError = class extends errorClass('UserCodeSyntaxError') {
  constructor(cause) {
    super(String(cause));
    if (typeof cause.stack === 'string') this.stack = cause.stack;
  }
};

/** A rejection that nobody handled. */
exports.UnhandledPromiseRejection = class extends errorClass('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
};

function isErrorLike(value) {
  if (require('util').types.isNativeError(value)) return true;
  return Boolean(value && value.name && value.message && value.stack) &&
    [value.name, value.message, value.stack].every((text) => typeof text === 'string');
}

const escapeDelete = (text) => text?.replace(/\x7F/g, '%7F');

/** AWS's error members for anything that was thrown. */
exports.documentOf = (error) => {
  try {
    if (isErrorLike(error)) {
      return {
        errorType: escapeDelete(error.name),
        errorMessage: escapeDelete(error.message),
        trace: escapeDelete(error.stack).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of ' +
        'its message, name, and stack',
    };
  }
};

/** An error for the log, whatever was thrown. */
exports.asError = (thrown) => (thrown instanceof Error ? thrown : new Error(thrown));

/** The text form of an error in the log: a tab and JSON with the error's own members. */
exports.logText = (error) => {
  const plain = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const members = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === 'string') members.stack = value.stack.split('\n');
    return members;
  };
  try {
    return `\t${JSON.stringify(error, plain)}`;
  } catch {
    return `\t${JSON.stringify(exports.documentOf(error))}`;
  }
};
