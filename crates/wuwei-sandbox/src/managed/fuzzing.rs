//! What a hostile runtime writes to its control socket, from the bytes to the answer of a call.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use bytes::BytesMut;

use super::parts::{Parts, Streamed};
use crate::frames::fuzzing::{check, decode, script};
use crate::frames::{Answer, AnswerKind, DOCUMENT_BYTES_MAX, FrameError, FrameReader};
use crate::fuzzing::{ASKED, at_once, invocation};
use crate::stream::{StreamPart, StreamSink};

/// What fits the socket's buffer whatever its settings are.
const SOCKET_BYTES: usize = 32 * 1024;

/// A byte of flags, four lengths of pieces, and then the bytes or a script of frames.
pub fn frames(input: &[u8]) {
    let Some((first, rest)) = input.split_first_chunk::<5>() else { return };
    let [flags, cuts @ ..] = first;
    let flag = |bit: u8| flags >> bit & 1 == 1;
    let asked = if flag(0) { "" } else { ASKED };
    let stream = if flag(1) { script(asked, rest) } else { rest.to_vec() };
    let cuts: &[u8] = if flag(2) { cuts } else { &[] };
    let (answers, error) = decode(&stream, cuts);
    check(&stream, &answers, &error, cuts.is_empty());
    take(asked, flag(3), &answers);
    if flag(4) && stream.len() <= SOCKET_BYTES {
        take_what_remains(&stream);
    }
}

/// The frames of one answer, against a plain account of the rules.
fn take(asked: &str, wants_parts: bool, answers: &[Answer]) {
    let (sink, mut passed_on) = StreamSink::channel();
    let invocation = (!asked.is_empty()).then(|| invocation(asked, wants_parts.then_some(sink)));
    let mut parts = Parts::of(invocation.as_ref());
    let (mut has_begun, mut whole) = (false, BytesMut::new());
    for answer in answers {
        let taken = at_once(parts.take(answer.clone())).expect("there is room for each part");
        if answer.request_id != asked.as_bytes() {
            return assert!(matches!(taken, Err(FrameError::Foreign)), "an answer to another request was taken");
        }
        let in_place = match answer.kind {
            AnswerKind::ContentType => !has_begun && !asked.is_empty(),
            AnswerKind::Chunk => has_begun,
            AnswerKind::Ready
            | AnswerKind::InitError
            | AnswerKind::Success
            | AnswerKind::Error
            | AnswerKind::LastWords => {
                assert_eq!(taken.expect("the end of an answer is always in place").as_ref(), Some(answer));
                break;
            }
        };
        if !in_place {
            return assert!(matches!(taken, Err(FrameError::OutOfPlace)), "a part out of place was taken");
        }
        has_begun = true;
        if wants_parts {
            let part = passed_on.try_recv().expect("a part is passed on at once");
            let is_same = match part {
                StreamPart::ContentType(kind) => kind == String::from_utf8_lossy(&answer.document),
                StreamPart::Chunk(chunk) => chunk == answer.document,
            };
            assert!(is_same, "another part was passed on");
        } else if answer.kind == AnswerKind::Chunk {
            let bytes = whole.len() + answer.document.len();
            if bytes > DOCUMENT_BYTES_MAX {
                return assert!(matches!(taken, Err(FrameError::TooLarge(size)) if size == bytes as u64));
            }
            whole.extend_from_slice(&answer.document);
        }
        assert_eq!(taken.expect("a part in place is taken"), None);
    }
    let expected = if wants_parts { Streamed::PassedOn } else { Streamed::Collected(whole.freeze()) };
    assert_eq!(parts.into_streamed(), has_begun.then_some(expected));
}

/// The same bytes, left behind by a process that has ended.
fn take_what_remains(stream: &[u8]) {
    let (near, mut far) = UnixStream::pair().expect("a socket pair");
    near.set_nonblocking(true).expect("a setting of a socket");
    far.write_all(stream).expect("the stream fits the socket's buffer");
    drop(far);
    let mut reader = FrameReader::default();
    let mut answers = Vec::new();
    let error = loop {
        match reader.read_remaining(&near) {
            Ok(answer) => answers.push(answer),
            Err(error) => break error,
        }
    };
    check(stream, &answers, &error, true);
}
