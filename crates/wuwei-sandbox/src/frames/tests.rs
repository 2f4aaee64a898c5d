use std::time::{Duration, UNIX_EPOCH};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWriteExt as _;

use super::{
    Answer, AnswerKind, Assignment, FrameError, FrameReader, HEADER_BYTES, PAYLOAD_BYTES_MAX, assignment,
    assignment_frame, request,
};
use crate::runtimes::test_process::{ID, invocation};
use wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX;

fn frame(kind: u8, id: &[u8], log: &[u8], document: &[u8]) -> Vec<u8> {
    let mut payload = vec![u8::try_from(id.len()).unwrap()];
    payload.extend(id);
    payload.extend(u32::try_from(log.len()).unwrap().to_le_bytes());
    payload.extend(log);
    payload.extend(document);
    [&u32::try_from(payload.len()).unwrap().to_le_bytes()[..], &[kind], &payload].concat()
}

/// What a reader makes of bytes that come in pieces, followed by the end of the stream.
async fn read(pieces: &[&[u8]]) -> Result<Answer, FrameError> {
    let (mut near, mut far) = tokio::io::duplex(PAYLOAD_BYTES_MAX + HEADER_BYTES);
    let mut reader = FrameReader::default();
    for piece in pieces {
        far.write_all(piece).await.unwrap();
        if let Some(answer) = read_now(&mut reader, &mut near).await {
            return answer;
        }
    }
    drop(far);
    reader.read(&mut near).await
}

/// Reads what is there, and cancels the read when that is not enough.
async fn read_now(
    reader: &mut FrameReader,
    socket: &mut tokio::io::DuplexStream,
) -> Option<Result<Answer, FrameError>> {
    tokio::select! {
        biased;
        answer = reader.read(socket) => Some(answer),
        () = std::future::ready(()) => None,
    }
}

#[test]
fn a_request_is_length_kind_meta_and_the_event_untouched() {
    let mut invocation = invocation(ID, r#"{"a": 1}"#);
    invocation.deadline = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    invocation.client_context = Some("{}".to_owned());
    let mut frame = request(&invocation);
    let mut bytes = frame.copy_to_bytes(frame.remaining());
    assert_eq!(bytes.get_u32_le() as usize, bytes.len() - 1);
    assert_eq!(bytes.get_u8(), 1);
    let meta_bytes = bytes.get_u32_le() as usize;
    let meta: serde_json::Value = serde_json::from_slice(&bytes.split_to(meta_bytes)).unwrap();
    assert_eq!(
        meta,
        serde_json::json!({"id": ID, "deadline_ms": 1_700_000_000_123_u64, "arn": invocation.invoked_function_arn,
            "trace_id": invocation.trace_id, "client_context": "{}"})
    );
    invocation.tenant_id = Some("blue".to_owned());
    let mut frame = request(&invocation);
    let mut bytes = frame.copy_to_bytes(frame.remaining()).split_off(9);
    let meta_bytes = bytes.len() - invocation.payload.len();
    let meta: serde_json::Value = serde_json::from_slice(&bytes.split_to(meta_bytes)).unwrap();
    assert_eq!(meta["tenant_id"], "blue");
    assert_eq!(bytes, r#"{"a": 1}"#);
}

#[test]
fn an_assignment_is_length_kind_and_a_document_with_the_environment_in_order() {
    let environment = [("Z", "last \"é\""), ("A", ""), ("_HANDLER", "app.handler")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let assigned = Assignment { environment: &environment, handler: "app.handler", working_directory: "/var/task" };
    let mut bytes = assignment_frame(&assignment(&assigned));
    assert_eq!(bytes.get_u32_le() as usize, bytes.len() - 1);
    assert_eq!(bytes.get_u8(), 2);
    let expected = r#"{"environment":{"Z":"last \"é\"","A":"","_HANDLER":"app.handler"},"handler":"app.handler","working_directory":"/var/task"}"#;
    assert_eq!(bytes, expected);
}

#[tokio::test]
async fn an_answer_is_read_whole_and_in_single_bytes() {
    let bytes = frame(18, b"id", b"log", b"document");
    let expected = Answer {
        kind: AnswerKind::Success,
        request_id: Bytes::from("id"),
        log: Bytes::from("log"),
        document: Bytes::from("document"),
    };
    assert_eq!(read(&[&bytes]).await.unwrap(), expected);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single).await.unwrap(), expected);
}

#[tokio::test]
async fn the_stream_may_end_only_after_a_frame() {
    let bytes = frame(19, b"id", b"", b"document");
    for length in 0..bytes.len() {
        let cut = &bytes[..length];
        assert!(matches!(read(&[cut]).await, Err(FrameError::Closed)), "{length}");
    }
}

#[tokio::test]
async fn kinds_lengths_and_surplus_are_checked() {
    assert!(matches!(read(&[&frame(0, b"", b"", b"")]).await, Err(FrameError::UnknownKind(0))));
    assert!(matches!(read(&[&[255, 255, 255, 255, 23]]).await, Err(FrameError::UnknownKind(23))));
    assert!(matches!(read(&[&[0, 0, 0, 0, 16]]).await, Err(FrameError::Malformed)));
    assert!(matches!(read(&[&[2, 0, 0, 0, 16, 2, b'x']]).await, Err(FrameError::Malformed)));
    assert!(matches!(read(&[&[6, 0, 0, 0, 16, 0, 9, 0, 0, 0, b'x']]).await, Err(FrameError::Malformed)));
    let answer = frame(16, b"", b"", b"");
    assert!(matches!(read(&[&[&answer[..], b"x"].concat()]).await, Err(FrameError::Surplus)));
}

#[tokio::test]
async fn the_document_limit_is_exact_and_sizes_are_true() {
    let document = vec![b'x'; SYNC_RESPONSE_BYTES_MAX + 1];
    let at_limit = read(&[&frame(18, ID.as_bytes(), b"", &document[1..])]).await.unwrap();
    assert_eq!(at_limit.document.len(), SYNC_RESPONSE_BYTES_MAX);
    let past = read(&[&frame(18, ID.as_bytes(), b"", &document)]).await;
    assert!(matches!(past, Err(FrameError::TooLarge(bytes)) if bytes == document.len() as u64));
    // Only the start of a frame of 3 GB has come.
    let length = (3_000_000_000_u32 + 5 + 36).to_le_bytes();
    let start = [&length[..], &[18, 36], ID.as_bytes()].concat();
    assert!(matches!(read(&[&start]).await, Err(FrameError::TooLarge(3_000_000_000))));
}

#[tokio::test]
async fn memory_follows_what_has_come_not_what_was_claimed() {
    let mut reader = FrameReader::default();
    let (mut near, mut far) = tokio::io::duplex(1024 * 1024);
    let claimed = u32::try_from(PAYLOAD_BYTES_MAX).unwrap().to_le_bytes();
    far.write_all(&[&claimed[..], &[18]].concat()).await.unwrap();
    assert!(read_now(&mut reader, &mut near).await.is_none());
    assert!(reader.buffer.capacity() <= 16 * 1024, "{}", reader.buffer.capacity());
    far.write_all(&vec![0; 100_000]).await.unwrap();
    assert!(read_now(&mut reader, &mut near).await.is_none());
    assert!(reader.buffer.capacity() <= 512 * 1024, "{}", reader.buffer.capacity());
}

#[tokio::test]
async fn a_dead_process_leaves_its_answer_in_the_socket() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut reader = FrameReader::default();
    assert!(matches!(reader.read_remaining(&near), Err(FrameError::Closed)));
    std::io::Write::write_all(&mut &far, &frame(18, b"id", b"", &[b'x'; 100_000])).unwrap();
    drop(far);
    assert_eq!(reader.read_remaining(&near).unwrap().document.len(), 100_000);
}

#[tokio::test]
async fn parts_of_a_streamed_answer_may_come_together() {
    let frames = [frame(20, b"id", b"", b"text/plain"), frame(21, b"id", b"", b"one"), frame(18, b"id", b"", b"")];
    let (mut near, mut far) = tokio::io::duplex(1024);
    let mut reader = FrameReader::default();
    far.write_all(&frames.concat()).await.unwrap();
    for (kind, document) in
        [(AnswerKind::ContentType, "text/plain"), (AnswerKind::Chunk, "one"), (AnswerKind::Success, "")]
    {
        let answer = reader.read(&mut near).await.unwrap();
        assert_eq!((answer.kind, &answer.document[..]), (kind, document.as_bytes()));
    }
    let after_the_end = [frame(18, b"id", b"", b""), frame(21, b"id", b"", b"more")].concat();
    assert!(matches!(read(&[&after_the_end]).await, Err(FrameError::Surplus)));
}
