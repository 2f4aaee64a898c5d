use std::future::pending;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use wuwei_engine::{Answer as Outcome, InvokeError, StreamPart, StreamSink};
use wuwei_model::{FunctionErrorKind, InvocationId, InvocationReport, Outcome as Ending};

use super::assembly::Assembly;
use crate::streaming::pump;
use crate::wire::{Answer, AnswerBody, BrokenAnswerError};

const PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

fn outcome(payload: &'static str, function_error: Option<FunctionErrorKind>) -> Outcome {
    Outcome {
        payload: Bytes::from_static(payload.as_bytes()),
        function_error,
        report: InvocationReport {
            id: InvocationId::new("id"),
            outcome: Ending::Success,
            error_type: None,
            duration: std::time::Duration::ZERO,
            init: None,
            billed_ms: 0,
            memory_mb: 128,
            peak_memory_bytes: 0,
            cpu_us: 0,
        },
        log_tail: Vec::new(),
        cold_start: None,
    }
}

fn chunk(bytes: &'static [u8]) -> StreamPart {
    StreamPart::Chunk(Bytes::from_static(bytes))
}

fn content_type(text: &str) -> StreamPart {
    StreamPart::ContentType(text.to_owned())
}

fn shown(answer: &Answer) -> String {
    let header = |(name, value): &(http::HeaderName, http::HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    let headers: Vec<String> = answer.headers.iter().map(header).collect();
    format!("{} {}", answer.status.as_u16(), headers.join(", "))
}

/// Head and body of what a function writes; the error is a body that broke off after some bytes.
async fn streamed(
    parts: Vec<StreamPart>,
    ended: Result<Outcome, InvokeError>,
) -> (String, Result<Bytes, BrokenAnswerError>) {
    let (sink, source) = StreamSink::channel();
    let (head, answered) = oneshot::channel();
    let running = async move {
        for part in parts {
            sink.send(part).await;
        }
        ended
    };
    tokio::spawn(pump(running, source, Assembly::new(head)));
    let answer = answered.await.unwrap();
    (shown(&answer), answer.body.collect().await.map(http_body_util::Collected::to_bytes))
}

fn well() -> Result<Outcome, InvokeError> {
    Ok(outcome("", None))
}

fn badly() -> Result<Outcome, InvokeError> {
    Ok(outcome("{}", Some(FunctionErrorKind::Unhandled)))
}

#[tokio::test]
async fn chunks_without_a_type_are_an_octet_stream() {
    let (head, body) = streamed(vec![chunk(b"a"), chunk(b"b")], well()).await;
    assert_eq!(head, "200 content-type: application/octet-stream");
    assert_eq!(body.unwrap(), "ab");
}

#[tokio::test]
async fn the_functions_content_type_is_the_answers() {
    let (head, body) = streamed(vec![content_type("text/event-stream"), chunk(b"a")], well()).await;
    assert_eq!((head.as_str(), body.unwrap().as_ref()), ("200 content-type: text/event-stream", &b"a"[..]));
    let (head, body) = streamed(vec![content_type("text/html")], well()).await;
    assert_eq!((head.as_str(), body.unwrap().as_ref()), ("200 content-type: text/html", &b""[..]));
}

#[tokio::test]
async fn a_prelude_gives_status_headers_and_cookies_wherever_it_is_cut() {
    let whole = b"{\"statusCode\":201,\"headers\":{\"X-A\":\"b\"},\"cookies\":[\"c=d\"]}\0\0\0\0\0\0\0\0hello";
    for cut in 0..whole.len() {
        let parts = vec![content_type(PRELUDE), chunk(&whole[..cut]), chunk(&whole[cut..])];
        let (head, body) = streamed(parts, well()).await;
        assert_eq!(head, "201 x-a: b, set-cookie: c=d, content-type: application/octet-stream", "{cut}");
        assert_eq!(body.unwrap(), "hello", "{cut}");
    }
}

#[tokio::test]
async fn a_prelude_that_is_none_is_a_bad_gateway() {
    for wrong in
        [&b"nonsense\0\0\0\0\0\0\0\0x"[..], b"[]\0\0\0\0\0\0\0\0", b"{\"statusCode\":1}\0\0\0\0\0\0\0\0", b"{}"]
    {
        let (head, body) = streamed(vec![content_type(PRELUDE), chunk(wrong)], well()).await;
        assert_eq!(head, "502 content-type: application/json", "{wrong:?}");
        assert_eq!(body.unwrap(), "Internal Server Error");
    }
}

#[tokio::test]
async fn a_result_that_was_not_streamed_is_the_body_as_it_is() {
    let (head, body) = streamed(vec![], Ok(outcome("{\"statusCode\":201,\"body\":\"x\"}", None))).await;
    assert_eq!(head, "200 content-type: application/json");
    assert_eq!(body.unwrap(), "{\"statusCode\":201,\"body\":\"x\"}");
}

#[tokio::test]
async fn an_error_before_the_first_chunk_is_an_answer_and_one_after_it_breaks_the_connection() {
    let (head, body) = streamed(vec![content_type("text/html")], badly()).await;
    assert_eq!(
        (head.as_str(), body.unwrap().as_ref()),
        ("502 content-type: application/json", &b"Internal Server Error"[..])
    );
    let (head, body) = streamed(vec![], Err(InvokeError::TooManyRequests("why"))).await;
    assert!(head.starts_with("429 "), "{head}");
    assert!(body.unwrap().starts_with(b"{"));
    let (head, body) = streamed(vec![chunk(b"half")], badly()).await;
    assert!(head.starts_with("200 "), "{head}");
    assert_eq!(body.unwrap_err(), BrokenAnswerError);
}

#[tokio::test]
async fn chunks_reach_the_caller_while_the_function_still_runs() {
    let (sink, source) = StreamSink::channel();
    let (head, answered) = oneshot::channel();
    tokio::spawn(pump(pending(), source, Assembly::new(head)));
    sink.send(chunk(b"one")).await;
    let AnswerBody::Breakable(mut pieces) = answered.await.unwrap().body else { panic!("a stream") };
    assert_eq!(pieces.recv().await.unwrap().unwrap(), "one");
    sink.send(chunk(b"two")).await;
    assert_eq!(pieces.recv().await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_function() {
    let (sink, source) = StreamSink::channel();
    let (head, answered) = oneshot::channel();
    let (ended, mut has_ended) = mpsc::channel(1);
    let running = async move {
        for _ in 0..1_000 {
            sink.send(chunk(b"x")).await;
        }
        ended.send(()).await.unwrap();
        well()
    };
    tokio::spawn(pump(running, source, Assembly::new(head)));
    drop(answered.await.unwrap());
    has_ended.recv().await.unwrap();
}
