//! A second, simpler reading of the protocol, to hold the first one against.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Answer, AnswerKind, DOCUMENT_BYTES_MAX, FIRST_READ_BYTES, FrameError, FrameReader};
use super::{HEADER_BYTES, ID_BYTES_MAX, LOG_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::fuzzing::at_once;

/// All that one script may write: more than one document that passes the limit.
const SCRIPT_BYTES_MAX: usize = 9 * (DOCUMENT_BYTES_MAX / 4);
/// What the reader may keep beside what has come: a few of its smallest buffers.
const SPARE_BYTES: usize = 256 * 1024;

/// Frames of a script, four bytes each: kind, id, length of the log entry, length of the document.
pub(crate) fn script(asked: &str, input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for step in input.chunks_exact(4) {
        let [kind, id, log, document] = <[u8; 4]>::try_from(step).expect("the chunks are exact");
        let kind = if kind < 224 { 16 + kind % 7 } else { kind };
        let long_id = [b'i'; ID_BYTES_MAX];
        let id = match id {
            0..192 => asked.as_bytes(),
            192..208 => &[],
            length => long_id.get(..usize::from(length)).unwrap_or_default(),
        };
        let log = match log {
            0..240 => usize::from(log % 8),
            _ => LOG_BYTES_MAX - 1 + usize::from(log % 3),
        };
        let document = match document {
            0..240 => usize::from(document),
            _ if document % 4 == 0 => DOCUMENT_BYTES_MAX / 2 + 1,
            _ => DOCUMENT_BYTES_MAX - 2 + usize::from(document % 4),
        };
        let payload = 1 + id.len() + 4 + log + document;
        if stream.len() + payload > SCRIPT_BYTES_MAX {
            break;
        }
        let length = |bytes: usize| u32::try_from(bytes).expect("scripts are bounded").to_le_bytes();
        stream.extend(length(payload));
        stream.push(kind);
        stream.push(u8::try_from(id.len()).expect("ids are bounded"));
        stream.extend(id);
        stream.extend(length(log));
        stream.resize(stream.len() + log, b'l');
        stream.resize(stream.len() + document, b'd');
    }
    stream
}

/// A socket that gives a stream in pieces, and makes its reader wait before each.
struct Pieces<'stream> {
    rest: &'stream [u8],
    cuts: std::iter::Cycle<std::slice::Iter<'stream, u8>>,
    /// So that a long stream has no more pieces than a short one.
    scale: usize,
    waiting: bool,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.waiting = !this.waiting;
        if this.waiting {
            return Poll::Pending;
        }
        let piece = this.cuts.next().map_or(usize::MAX, |cut| (1 + usize::from(*cut)) * this.scale);
        let (now, later) = this.rest.split_at(piece.min(this.rest.len()).min(buffer.remaining()));
        buffer.put_slice(now);
        this.rest = later;
        Poll::Ready(Ok(()))
    }
}

/// What the reader makes of a stream that comes in pieces of these lengths, or at once when there are none.
pub(crate) fn decode(stream: &[u8], cuts: &[u8]) -> (Vec<Answer>, FrameError) {
    let scale = 1 + stream.len() / 4_096;
    let mut socket = Pieces { rest: stream, cuts: cuts.iter().cycle(), scale, waiting: false };
    let mut reader = FrameReader::default();
    let mut answers = Vec::new();
    loop {
        // A new future each time: what a cancelled read has taken must not be lost.
        let read = at_once(reader.read(&mut socket));
        let arrived = stream.len() - socket.rest.len();
        let kept = reader.buffer.capacity();
        assert!(kept <= 4 * arrived + SPARE_BYTES, "{kept} bytes are kept of {arrived}");
        match read {
            None => {}
            Some(Ok(answer)) => answers.push(answer),
            Some(Err(error)) => return (answers, error),
        }
    }
}

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    UnknownKind(u8),
    TooLarge(u64),
    Malformed,
}

/// Asserts that answers and error are what the protocol says about a stream.
pub(crate) fn check(stream: &[u8], answers: &[Answer], error: &FrameError, came_at_once: bool) {
    let (expected, ends, end) = reading(stream);
    assert_eq!(answers, expected.get(..answers.len()).expect("there are no more answers than frames"));
    let position = answers.len().checked_sub(1).map_or(0, |last| ends[last]);
    if came_at_once && stream.len() <= FIRST_READ_BYTES {
        let early = answers.iter().zip(&ends).find(|(answer, end)| !answer.kind.is_part() && **end < stream.len());
        assert!(early.is_none(), "data after {early:?} was overlooked");
    }
    let found = match error {
        FrameError::Surplus => {
            let frame = stream.get(position..).unwrap_or_default();
            let length = u32::from_le_bytes(*frame.first_chunk().expect("a surplus follows a frame")) as usize;
            let kind = AnswerKind::from_byte(frame[4]).expect("of a known kind");
            return assert!(!kind.is_part() && frame.len() > HEADER_BYTES + length, "no surplus after {position}");
        }
        FrameError::Closed => End::Closed,
        FrameError::UnknownKind(kind) => End::UnknownKind(*kind),
        FrameError::TooLarge(bytes) => End::TooLarge(*bytes),
        FrameError::Malformed => End::Malformed,
        FrameError::Io(_) | FrameError::Foreign | FrameError::OutOfPlace => {
            return assert!(matches!(error, FrameError::Closed), "the reader does not say {error}");
        }
    };
    assert_eq!((answers.len(), found), (expected.len(), end));
}

/// All frames of a stream, where each ends, and why there is no further one.
fn reading(stream: &[u8]) -> (Vec<Answer>, Vec<usize>, End) {
    let (mut answers, mut ends) = (Vec::new(), Vec::new());
    let mut at = 0;
    let end = loop {
        let rest = stream.get(at..).unwrap_or_default();
        let Some((header, payload)) = rest.split_first_chunk::<HEADER_BYTES>() else { break End::Closed };
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(kind) = AnswerKind::from_byte(header[4]) else { break End::UnknownKind(header[4]) };
        if length > PAYLOAD_BYTES_MAX {
            let Some(id) = payload.first() else { break End::Closed };
            break End::TooLarge(length.saturating_sub(5 + usize::from(*id)) as u64);
        }
        let Some(payload) = payload.get(..length) else { break End::Closed };
        match fields(payload) {
            Ok([request_id, log, document]) => answers.push(Answer { kind, request_id, log, document }),
            Err(end) => break end,
        }
        at += HEADER_BYTES + length;
        ends.push(at);
    };
    (answers, ends, end)
}

fn fields(payload: &[u8]) -> Result<[Bytes; 3], End> {
    let part = |from: usize, length: usize| payload.get(from..from + length).ok_or(End::Malformed);
    let id = usize::from(part(0, 1)?[0]);
    let request_id = part(1, id)?;
    let log = u32::from_le_bytes(part(1 + id, 4)?.try_into().expect("four bytes")) as usize;
    let log = part(5 + id, log)?;
    let document = part(5 + id + log.len(), payload.len() - 5 - id - log.len())?;
    if log.len() > LOG_BYTES_MAX {
        return Err(End::Malformed);
    }
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(End::TooLarge(document.len() as u64));
    }
    Ok([request_id, log, document].map(Bytes::copy_from_slice))
}
