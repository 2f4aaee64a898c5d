// The control socket at descriptor 3: events come in, answers and parts of streamed answers go out.
// The frames are described in crates/wuwei-sandbox/src/frames.rs.
//
// Reading blocks the event loop on purpose. A runtime that waits for an event is about to be frozen: what it still has
// to do goes on at the next event, whether the freezer comes at once or late. A blocking read also wakes this thread
// without a detour over the loop.
'use strict';

// Taken now: a function may replace them.
const { readSync, write, writeSync } = require('fs');

const CONTROL = 3;
const INVOKE = 1;
const ASSIGN = 2;
const HEADER_BYTES = 5;
const READ_BYTES = 64 * 1024;

/** Kinds of frames that go out. */
exports.READY = 16;
exports.INIT_ERROR = 17;
exports.SUCCESS = 18;
exports.ERROR = 19;
exports.CONTENT_TYPE = 20;
exports.CHUNK = 21;
exports.LAST_WORDS = 22;

const input = Buffer.allocUnsafeSlow(READ_BYTES);
let partInFlight = false;
let afterPart = null;

/**
 * Fills `buffer` from `start`, with `least` bytes at least and `most` at most; gives how far it is filled. A closed
 * socket ends us.
 */
function fill(buffer, start, least, most = buffer.length) {
  let filled = start;
  while (filled < least) {
    let count;
    try {
      count = readSync(CONTROL, buffer, filled, most - filled, null);
    } catch (error) {
      if (error.code === 'EINTR') continue;
      throw error;
    }
    if (count === 0) process.exit(0);
    filled += count;
  }
  return filled;
}

/** Waits for one event: what is told beside it, and its JSON text. */
exports.receive = () => {
  const filled = fill(input, 0, HEADER_BYTES);
  const size = HEADER_BYTES + input.readUInt32LE(0);
  if (input[4] !== INVOKE) throw new Error(`unexpected frame of kind ${input[4]}`);
  let frame = input;
  if (size > filled) {
    if (size > READ_BYTES) {
      frame = Buffer.allocUnsafe(size);
      input.copy(frame, 0, 0, filled);
    }
    fill(frame, filled, size);
  }
  const metaEnd = HEADER_BYTES + 4 + frame.readUInt32LE(HEADER_BYTES);
  const meta = JSON.parse(frame.utf8Slice(HEADER_BYTES + 4, metaEnd));
  return { meta, text: frame.utf8Slice(metaEnd, size) };
};

/** Waits for the assignment of a blank. Reads nothing of what follows it: the first event may be there already. */
exports.receiveAssignment = () => {
  fill(input, 0, HEADER_BYTES, HEADER_BYTES);
  if (input[4] !== ASSIGN) throw new Error(`unexpected frame of kind ${input[4]}`);
  const frame = Buffer.allocUnsafeSlow(input.readUInt32LE(0));
  fill(frame, 0, frame.length, frame.length);
  return JSON.parse(frame.utf8Slice(0, frame.length));
};

/** A frame with room for a document, and where the document starts. */
function frameOf(kind, id, documentBytes) {
  const idBytes = Buffer.byteLength(id);
  const start = HEADER_BYTES + 1 + idBytes + 4;
  const frame = Buffer.allocUnsafe(start + documentBytes);
  frame.writeUInt32LE(frame.length - HEADER_BYTES, 0);
  frame[4] = kind;
  frame[5] = idBytes;
  frame.utf8Write(id, 6, idBytes);
  frame.writeUInt32LE(0, start - 4);
  return { frame, start };
}

/** Sends one frame with a document of text. */
exports.send = (kind, id, text) => {
  const { frame, start } = frameOf(kind, id, Buffer.byteLength(text));
  frame.utf8Write(text, start);
  let sent = 0;
  while (sent < frame.length) {
    try {
      sent += writeSync(CONTROL, frame, sent);
    } catch (error) {
      if (error.code !== 'EINTR') throw error;
    }
  }
};

/** Sends a part of a streamed answer without blocking the loop; `done` follows when the platform has taken it. */
exports.sendPart = (id, chunk, done) => {
  const { frame, start } = frameOf(exports.CHUNK, id, chunk.length);
  chunk.copy(frame, start);
  partInFlight = true;
  const next = (sent) => write(CONTROL, frame, sent, frame.length - sent, null, (error, count) => {
    if (!error && sent + count < frame.length) return next(sent + count);
    partInFlight = false;
    const waiting = afterPart;
    afterPart = null;
    // What waits ends the answer: no further part may follow.
    if (waiting) waiting();
    else done(error);
  });
  next(0);
};

/** Runs `action` when no part is half sent: now, or soon. */
exports.betweenParts = (action) => {
  if (partInFlight) afterPart = action;
  else action();
};
