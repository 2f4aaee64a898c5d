//! The Node.js bootstrap over the control socket: streamed answers, output, ends.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::instance::{InvokeFailure, ProcessExit, Reply};
use crate::runtimes::test_process::{Function, ID, LIMIT, invocation};
use crate::stream::{StreamPart, StreamSink};
use wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX;

/// Calls with a stream; gives the reply, the content type and all chunks as one.
async fn stream(function: &mut Function, event: &str) -> (Result<Reply, InvokeFailure>, Option<String>, Vec<u8>) {
    let (sink, mut receiver) = StreamSink::channel();
    let collect = async {
        let (mut content_type, mut whole) = (None, Vec::new());
        while let Some(part) = receiver.recv().await {
            match part {
                StreamPart::ContentType(name) => content_type = Some(name),
                StreamPart::Chunk(chunk) => whole.extend_from_slice(&chunk),
            }
        }
        (content_type, whole)
    };
    let invocation = crate::Invocation { stream: Some(sink), ..invocation(ID, event.to_owned()) };
    let (reply, (content_type, whole)) =
        tokio::join!(function.instance.invoke(invocation, &mut function.lines), collect);
    (reply, content_type, whole)
}

async fn started(body: &str) -> Function {
    let code = format!("exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {{ {body} }})");
    let mut function = Function::node(&code);
    function.initialise().await.unwrap();
    function
}

fn error_of(reply: Result<Reply, InvokeFailure>) -> Value {
    match reply {
        Ok(Reply::Streamed { error: Some(document) } | Reply::Error(document)) => {
            serde_json::from_slice(&document).unwrap()
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

#[tokio::test]
async fn chunks_pass_one_by_one_and_a_buffered_caller_gets_them_as_one() {
    let mut function =
        started("stream.setContentType('text/plain'); stream.write('one '); stream.write({ n: 2 }); stream.end(' é')")
            .await;
    for _ in 0..3 {
        let (reply, content_type, whole) = stream(&mut function, "{}").await;
        assert_eq!(reply.unwrap(), Reply::Streamed { error: None });
        assert_eq!(content_type.as_deref(), Some("text/plain"));
        assert_eq!(whole, "one {\"n\":2} é".as_bytes());
        assert_eq!(function.invoke("{}").await.unwrap(), Reply::Success(Bytes::from("one {\"n\":2} é")));
    }
}

#[tokio::test]
async fn the_prelude_of_an_http_answer_comes_before_the_first_byte() {
    let mut function = started(
        "stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, cookies: ['a=b'] });
         if (event.body) stream.write(event.body);
         stream.end()",
    )
    .await;
    for (event, body) in [(r#"{"body": "hi"}"#, "hi"), ("{}", "")] {
        let (reply, content_type, whole) = stream(&mut function, event).await;
        assert_eq!(reply.unwrap(), Reply::Streamed { error: None });
        assert_eq!(content_type.as_deref(), Some("application/vnd.awslambda.http-integration-response"));
        assert_eq!(whole, format!("{{\"statusCode\":201,\"cookies\":[\"a=b\"]}}\0\0\0\0\0\0\0\0{body}").as_bytes());
    }
}

#[tokio::test]
async fn a_chunk_reaches_the_caller_before_the_function_goes_on() {
    let mut function = started(
        "stream.write('first');
         const { existsSync } = require('fs');
         while (!existsSync('seen')) await new Promise((go) => setTimeout(go, 5));
         stream.end('second')",
    )
    .await;
    let (sink, mut receiver) = StreamSink::channel();
    let seen = function.directory().join("seen");
    let invocation = crate::Invocation { stream: Some(sink), ..invocation(ID, "{}") };
    let caller = async {
        assert_eq!(receiver.recv().await, Some(StreamPart::ContentType("application/octet-stream".to_owned())));
        assert_eq!(receiver.recv().await, Some(StreamPart::Chunk(Bytes::from("first"))));
        std::fs::write(seen, "").unwrap();
        assert_eq!(receiver.recv().await, Some(StreamPart::Chunk(Bytes::from("second"))));
    };
    let (reply, ()) = tokio::join!(function.instance.invoke(invocation, &mut function.lines), caller);
    assert_eq!(reply.unwrap(), Reply::Streamed { error: None });
}

#[tokio::test]
async fn a_slow_caller_slows_the_function_down() {
    // What can be on the way: the parts of the sink, the socket's buffers and the stream's own; 64 KiB each.
    const ON_THE_WAY_MAX: usize = 100;
    let mut function = started(
        "const { renameSync, writeFileSync } = require('fs');
         for (let n = 1; n <= 600; n++) {
             writeFileSync('new', String(n));
             renameSync('new', 'written');
             if (!stream.write(Buffer.alloc(65536))) await require('events').once(stream, 'drain');
         }
         stream.end()",
    )
    .await;
    let (sink, mut receiver) = StreamSink::channel();
    let written = function.directory().join("written");
    let written = || std::fs::read_to_string(&written).map_or(0, |text| text.parse::<usize>().unwrap());
    let invocation = crate::Invocation { stream: Some(sink), ..invocation(ID, "{}") };
    let caller = async {
        while written() < 16 {
            tokio::task::yield_now().await;
        }
        let mut bytes = 0;
        while let Some(part) = receiver.recv().await {
            let ahead = written() - bytes / 65536;
            assert!(ahead < ON_THE_WAY_MAX, "{ahead} chunks were taken although nobody read them");
            if let StreamPart::Chunk(chunk) = part {
                bytes += chunk.len();
            }
        }
        bytes
    };
    let (reply, bytes) = tokio::join!(function.instance.invoke(invocation, &mut function.lines), caller);
    assert_eq!((reply.unwrap(), bytes), (Reply::Streamed { error: None }, 600 * 65536));
}

#[tokio::test]
async fn an_error_breaks_the_stream_off_and_the_instance_lives_on() {
    let mut function = started(
        "if (event.late) { stream.write('some'); await new Promise((go) => setTimeout(go, 20)) }
         if (event.unfinished) return;
         if (event.fine) return stream.end('fine');
         throw new RangeError('boom')",
    )
    .await;
    let (reply, _, whole) = stream(&mut function, r#"{"late": true}"#).await;
    assert!(matches!(reply, Ok(Reply::Streamed { error: Some(_) })), "{reply:?}");
    assert_eq!(whole, b"some");
    assert_eq!(error_of(reply)["errorType"], "RangeError");
    let (reply, content_type, _) = stream(&mut function, "{}").await;
    assert!(matches!(reply, Ok(Reply::Error(_))), "{reply:?}");
    assert_eq!((error_of(reply)["errorMessage"].clone(), content_type), (json!("boom"), None));
    assert_eq!(error_of(function.invoke(r#"{"late": true}"#).await)["errorType"], "RangeError");
    let (reply, ..) = stream(&mut function, r#"{"unfinished": true}"#).await;
    assert_eq!(error_of(reply)["errorMessage"], "Response stream is not finished.");
    let (reply, _, whole) = stream(&mut function, r#"{"fine": true}"#).await;
    assert_eq!((reply.unwrap(), &whole[..]), (Reply::Streamed { error: None }, &b"fine"[..]));
}

#[tokio::test]
async fn a_stream_may_be_longer_than_a_buffered_answer() {
    let mut function = started("stream.end(Buffer.alloc(event.size, 'x'))").await;
    let past = SYNC_RESPONSE_BYTES_MAX + 1;
    let (reply, _, whole) = stream(&mut function, &format!(r#"{{"size": {past}}}"#)).await;
    assert_eq!((reply.unwrap(), whole.len()), (Reply::Streamed { error: None }, past));
    let reply = function.invoke(format!(r#"{{"size": {SYNC_RESPONSE_BYTES_MAX}}}"#)).await.unwrap();
    assert!(matches!(reply, Reply::Success(whole) if whole.len() == SYNC_RESPONSE_BYTES_MAX));
    let reply = function.invoke(format!(r#"{{"size": {past}}}"#)).await;
    assert!(matches!(reply, Err(InvokeFailure::ResponseTooLarge(_))), "{reply:?}");
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_of_its_stream_is_a_crash_after_what_it_wrote() {
    let mut function = started("stream.write('some', () => process.exit(3)); await new Promise(() => {})").await;
    let (reply, _, whole) = stream(&mut function, "{}").await;
    assert!(matches!(reply, Err(InvokeFailure::Exited(ProcessExit::Code(3)))), "{reply:?}");
    assert_eq!(whole, b"some");
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_function() {
    let mut function = started(
        "for (let n = 0; n < 200; n++) if (!stream.write(Buffer.alloc(65536))) await require('events').once(stream, 'drain');
         stream.end(); console.log('wrote all')",
    )
    .await;
    let (sink, receiver) = StreamSink::channel();
    drop(receiver);
    let invocation = crate::Invocation { stream: Some(sink), ..invocation(ID, "{}") };
    let reply = tokio::time::timeout(LIMIT, function.instance.invoke(invocation, &mut function.lines)).await.unwrap();
    assert_eq!(reply.unwrap(), Reply::Streamed { error: None });
    assert!(function.lines.0.concat().ends_with("INFO\twrote all"), "{:?}", function.lines.0);
}

#[tokio::test]
async fn a_handler_that_does_not_stream_answers_a_streaming_caller_as_always() {
    let mut function = Function::node("exports.handler = async (event) => event");
    function.initialise().await.unwrap();
    let (reply, content_type, whole) = stream(&mut function, "[1]").await;
    assert_eq!((reply.unwrap(), content_type, whole), (Reply::Success(Bytes::from("[1]")), None, Vec::new()));
}

#[tokio::test]
async fn a_runtime_that_ends_after_its_answer_has_ended_when_the_answer_is_there() {
    let code = "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise(setImmediate) }";
    for _ in 0..5 {
        let mut function = Function::node(code);
        function.initialise().await.unwrap();
        assert_eq!(error_of(function.invoke("{}").await)["errorType"], "Runtime.UnhandledPromiseRejection");
        assert!(!function.instance.is_alive());
    }
}

#[tokio::test]
async fn output_that_fills_the_pipe_is_there_when_the_answer_is() {
    let code = "exports.handler = async (n) => {
        for (let i = 0; i < n; i++) process.stdout.write(`line ${i}\\n`);
        console.log('several\\nlines');
    }";
    let mut function = Function::node(code);
    function.initialise().await.unwrap();
    assert_eq!(function.invoke("40000").await.unwrap(), Reply::Success(Bytes::from("null")));
    assert_eq!(function.lines.0.len(), 40_001);
    assert_eq!(function.lines.0[39_999], "line 39999");
    assert!(function.lines.0[40_000].ends_with("\tINFO\tseveral\nlines"));
}
