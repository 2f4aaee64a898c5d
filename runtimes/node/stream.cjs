// Streamed answers: a writable stream whose chunks reach the caller while the function still writes.
'use strict';

const { Writable } = require('stream');
const channel = require('./channel.cjs');
const { InvalidStreamingOperation } = require('./errors.cjs');

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
const PRELUDE_CONTENT_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);
// One frame carries this much at most, so that the platform can pass on what it has.
const PART_BYTES_MAX = 256 * 1024;

/** What a streaming handler writes its answer to. */
class ResponseStream extends Writable {
  #id;
  #contentType = DEFAULT_CONTENT_TYPE;
  #hasStarted = false;
  #isWritten = false;
  #isAbandoned = false;

  constructor(id, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.#id = id;
    // The runtime reports what goes wrong; without a listener it would count as an uncaught exception.
    this.on('error', () => {});
  }

  /** Names the content type, before the first write. */
  setContentType(contentType) {
    if (this.#isWritten) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.#contentType = contentType;
  }

  /** Drops all that is still written: the answer has ended. */
  abandon() {
    this.#isAbandoned = true;
  }

  write(chunk, encoding, done) {
    this.#isWritten = true;
    const isBytes = typeof chunk === 'string' || chunk instanceof Uint8Array;
    return super.write(isBytes ? chunk : JSON.stringify(chunk), encoding, done);
  }

  _write(chunk, _encoding, done) {
    if (this.#isAbandoned) return done();
    this.#start();
    this.#send(this.#prelude(), (error) => (error ? done(error) : this.#send(chunk, done)));
  }

  _final(done) {
    if (this.#isAbandoned) return done();
    this.#start();
    this.#send(this.#prelude(), done);
  }

  #start() {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    channel.send(channel.CONTENT_TYPE, this.#id, String(this.#contentType));
  }

  #prelude() {
    const parts = [];
    const before = this._onBeforeFirstWrite;
    this._onBeforeFirstWrite = undefined;
    if (typeof before === 'function') before((chunk) => parts.push(Buffer.from(chunk)));
    return Buffer.concat(parts);
  }

  #send(bytes, done) {
    if (bytes.length === 0) return done();
    channel.sendPart(this.#id, bytes.subarray(0, PART_BYTES_MAX), (error) => {
      if (error) done(error);
      else this.#send(bytes.subarray(PART_BYTES_MAX), done);
    });
  }
}

exports.ResponseStream = ResponseStream;

/** Gives a streamed answer a status, headers and cookies. */
exports.HttpResponseStream = class HttpResponseStream {
  static from(stream, metadata) {
    stream.setContentType(PRELUDE_CONTENT_TYPE);
    const prelude = JSON.stringify(metadata);
    stream._onBeforeFirstWrite = (write) => {
      write(prelude);
      write(PRELUDE_END);
    };
    return stream;
  }
};
