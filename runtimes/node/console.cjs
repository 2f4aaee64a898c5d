// `console` with AWS's line formats, text or JSON, and a standard output whose writes are done when they return, so
// that all that a function printed is there before its answer is.
'use strict';

const { writeSync } = require('fs');
const { format } = require('util');
const { asError, logText } = require('./errors.cjs');

const PRIORITIES = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
// Stands for a line break inside one log entry; no UTF-8 text has these bytes. See crates/wuwei-sandbox/src/output.rs.
const INNER_BREAK = Buffer.from([0xf8, 0xff]);
const RETRY_MILLISECONDS = 1;

let requestId;
let tenantId;
let pause;

/** Names the request in the lines that follow, and for whom it is, where that is known. */
exports.setRequest = (id, tenant) => {
  requestId = id;
  tenantId = tenant ?? undefined;
};

/** Writes all of a buffer. A pipe that something made non-blocking, and that is full, is tried again. */
function writeAll(descriptor, buffer) {
  let written = 0;
  while (written < buffer.length) {
    try {
      written += writeSync(descriptor, buffer, written);
    } catch (error) {
      if (error.code === 'EAGAIN') {
        pause ??= new Int32Array(new SharedArrayBuffer(4));
        Atomics.wait(pause, 0, 0, RETRY_MILLISECONDS);
      } else if (error.code !== 'EINTR') {
        throw error;
      }
    }
  }
}

/** Writes one log entry, which stays one however many lines it has. */
function writeEntry(text) {
  const lines = text.split('\n');
  const parts = lines.flatMap((line, number) => (number ? [INNER_BREAK, Buffer.from(line)] : [Buffer.from(line)]));
  writeAll(1, Buffer.concat([...parts, Buffer.from('\n')]));
}

function textEntry(level, values) {
  return `${new Date().toISOString()}\t${requestId}\t${level}\t${format(...values)}`;
}

const typeOf = (error) => error?.constructor?.name ?? 'UnknownError';

const stackOf = (error) => (typeof error.stack === 'string' ? error.stack.split('\n') : []);

function plainError(_key, value) {
  if (!(value instanceof Error)) return value;
  return { errorType: typeOf(value), errorMessage: value.message, stackTrace: stackOf(value), ...value };
}

function jsonEntry(level, values) {
  const entry = { timestamp: new Date().toISOString(), level, requestId, tenantId };
  if (values.length === 1) {
    try {
      return JSON.stringify({ ...entry, message: values[0] }, plainError);
    } catch {
      return JSON.stringify({ ...entry, message: format(values[0]) });
    }
  }
  entry.message = format(...values);
  const error = values.find((value) => value instanceof Error);
  if (error) Object.assign(entry, { errorType: typeOf(error), errorMessage: error.message, stackTrace: stackOf(error) });
  return JSON.stringify(entry);
}

const isJson = () => process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';

/** A stream over a descriptor whose writes are done when they return. */
function blockingStream(descriptor) {
  const { Writable } = require('stream');
  const stream = new Writable({
    decodeStrings: true,
    write(chunk, _encoding, done) {
      try {
        writeAll(descriptor, chunk);
        done();
      } catch (error) {
        done(error);
      }
    },
    // Nobody can close these, as with those that Node.js makes.
    destroy(error, done) {
      done(error);
    },
  });
  stream.fd = descriptor;
  stream._type = 'pipe';
  stream._isStdio = true;
  stream.destroySoon = stream.destroy;
  return stream;
}

/** Replaces a stream of `process` by a blocking one, made when it is first used: many functions never do. */
function replaceStream(name, descriptor) {
  let stream;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => (stream ??= blockingStream(descriptor)),
  });
}

/** Gives `console` Lambda's formats, and `process` its streams. */
exports.install = () => {
  const entryOf = isJson() ? jsonEntry : textEntry;
  const least = PRIORITIES[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? PRIORITIES.TRACE;
  const logger = (level) => {
    if (PRIORITIES[level] < least) return () => {};
    return (message, ...rest) => writeEntry(entryOf(level, [message, ...rest]));
  };
  for (const level of ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']) {
    console[level.toLowerCase()] = logger(level);
  }
  console.log = console.info;
  replaceStream('stdout', 1);
  replaceStream('stderr', 2);
};

/** Writes an error into the log, after a title in the text form. */
exports.logError = (title, thrown) => {
  const error = asError(thrown);
  if (isJson()) console.error(error);
  else console.error(title, logText(error));
};
