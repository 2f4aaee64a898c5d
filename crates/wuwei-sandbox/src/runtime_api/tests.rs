use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::exchange::{Exchange, Reference};
use super::{Answered, RuntimeApi};
use crate::instance::Invocation;
use crate::runtimes::test_process::{ID, LIMIT, invocation};
use crate::stream::{StreamPart, StreamSink};

struct Api {
    api: RuntimeApi,
    address: std::net::SocketAddr,
}

async fn api() -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Api { api: RuntimeApi::serve(listener), address }
}

impl Api {
    /// Sends bytes on a connection of its own and reads until the server closes it: status line and body.
    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.send(&format!(
            "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// Brings the runtime to the point where it works on an event.
    async fn running(&self, id: &str) -> impl Future<Output = Answered> + use<> {
        self.running_on(invocation(id, "{}")).await
    }

    async fn running_on(&self, invocation: Invocation) -> impl Future<Output = Answered> + use<> {
        let mut event = std::pin::pin!(self.get("invocation/next"));
        tokio::select! {
            biased;
            event = &mut event => panic!("an event before there is one: {event:?}"),
            initialised = self.api.initialised() => initialised.unwrap(),
        }
        let answer = self.api.offer(invocation);
        assert_eq!(event.await, (200, "{}".to_owned()));
        answer
    }
}

const OTHER_ID: &str = "00000000-0000-4000-8000-000000000002";

fn error_type(answer: &(u16, String)) -> (u16, String) {
    let document: serde_json::Value = serde_json::from_str(&answer.1).unwrap();
    assert!(!document["errorMessage"].as_str().unwrap().is_empty());
    (answer.0, document["errorType"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_event_is_answered_once() {
    let api = api().await;
    let answer = api.running(ID).await;
    let response = format!("invocation/{ID}/response");
    assert_eq!(api.post(&response, "1").await, (202, "{\"status\":\"OK\"}\n".to_owned()));
    assert_eq!(answer.await, Answered::Success(Bytes::from("1")));
    let again = api.post(&response, "2").await;
    assert_eq!(error_type(&again), (403, "InvalidStateTransition".to_owned()));
    let as_error = api.post(&format!("invocation/{ID}/error"), "{}").await;
    assert_eq!(error_type(&as_error), (403, "InvalidStateTransition".to_owned()));
}

#[tokio::test]
async fn an_answer_to_another_id_changes_nothing() {
    let api = api().await;
    let wrong = format!("invocation/{OTHER_ID}/response");
    assert_eq!(error_type(&api.post(&wrong, "1").await), (400, "InvalidRequestID".to_owned()));
    let answer = api.running(ID).await;
    assert_eq!(error_type(&api.post(&wrong, "1").await), (400, "InvalidRequestID".to_owned()));
    assert_eq!(api.post(&format!("invocation/{ID}/error"), "{\"errorType\":\"E\"}").await.0, 202);
    assert_eq!(answer.await, Answered::Error(Bytes::from("{\"errorType\":\"E\"}")));
    // A late answer to the first event, while the second is in work.
    let answer = api.running(OTHER_ID).await;
    let late = api.post(&format!("invocation/{ID}/response"), "late").await;
    assert_eq!(error_type(&late), (403, "InvalidStateTransition".to_owned()));
    assert_eq!(api.post(&wrong, "2").await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("2")));
}

#[tokio::test]
async fn the_next_event_is_refused_while_one_is_in_work() {
    let api = api().await;
    let _answer = api.running(ID).await;
    let refused = api.get("invocation/next").await;
    assert_eq!(error_type(&refused), (403, "InvalidStateTransition".to_owned()));
    assert!(refused.1.contains("from Running to Ready"), "{}", refused.1);
}

#[tokio::test]
async fn an_initialisation_error_is_final_and_comes_only_before_the_first_event() {
    let failing = api().await;
    let ((status, _), outcome) = tokio::join!(failing.post("init/error", "{}"), failing.api.initialised());
    assert_eq!((status, outcome), (202, Err(Bytes::from("{}"))));
    assert_eq!(error_type(&failing.post("init/error", "{}").await).1, "InvalidStateTransition");
    assert_eq!(error_type(&failing.get("invocation/next").await).1, "InvalidStateTransition");
    let started = api().await;
    let _answer = started.running(ID).await;
    assert_eq!(error_type(&started.post("init/error", "{}").await).1, "InvalidStateTransition");
}

#[tokio::test]
async fn an_event_without_a_runtime_that_waits_is_not_ready() {
    let api = api().await;
    assert_eq!(api.api.offer(invocation(ID, "{}")).await, Answered::NotReady);
    let _answer = api.running(ID).await;
    assert_eq!(api.api.offer(invocation(OTHER_ID, "{}")).await, Answered::NotReady);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors() {
    let api = api().await;
    for path in ["", "invocation", "invocation/next/", "restore/next", "invocation/a/b/response"] {
        assert_eq!(error_type(&api.get(path).await), (404, "NotFound".to_owned()), "{path}");
    }
    assert_eq!(error_type(&api.post("restore/error", "{}").await), (404, "NotFound".to_owned()));
    assert_eq!(api.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.0, 404);
    assert_eq!(api.post("invocation/next", "").await.0, 405);
    assert_eq!(api.get("init/error").await.0, 405);
    assert_eq!(api.get(&format!("invocation/{ID}/response")).await.0, 405);
}

#[tokio::test]
async fn a_ping_is_answered_and_extensions_are_told_that_they_are_not_offered() {
    let api = api().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(api.send(&get("/2018-06-01/ping")).await, (200, "pong".to_owned()));
    for path in ["/2020-01-01/extension/register", "/2022-07-01/telemetry", "/2020-08-15/logs"] {
        assert_eq!(error_type(&api.send(&get(path)).await), (501, "NotImplemented".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let api = api().await;
    let answer = api.running(ID).await;
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(api.post(&format!("invocation/{ID}/response"), "whole").await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("whole")));
}

#[tokio::test]
async fn heads_are_limited_and_slow_clients_do_not_hold_others_up() {
    let api = api().await;
    let long = "x".repeat(100_000);
    let refused = api.send(&format!("GET /2018-06-01/runtime/{long} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!((400..500).contains(&refused.0), "{}", refused.0);
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(b"GET /2018-06-01/runtime/invo").await.unwrap();
        slow.push(stream);
    }
    let answer = api.running(ID).await;
    assert_eq!(api.post(&format!("invocation/{ID}/response"), "1").await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("1")));
    assert_eq!(slow.len(), 30);
}

#[tokio::test]
async fn a_client_that_stops_waiting_leaves_the_event_for_the_one_that_waits() {
    let api = api().await;
    let mut gone = TcpStream::connect(api.address).await.unwrap();
    gone.write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    api.api.initialised().await.unwrap();
    drop(gone);
    let mut connections = api.api.connections.clone();
    tokio::time::timeout(LIMIT, connections.wait_for(|count| *count == 0)).await.unwrap().unwrap();
    let answer = api.running(ID).await;
    assert_eq!(api.post(&format!("invocation/{ID}/response"), "1").await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("1")));
}

#[tokio::test]
async fn the_last_word_waits_for_open_connections_only() {
    let api = api().await;
    let never = std::future::pending::<()>();
    assert_eq!(tokio::time::timeout(LIMIT, api.api.last_word(never)).await.unwrap(), None);
    let stream = TcpStream::connect(api.address).await.unwrap();
    let mut connections = api.api.connections.clone();
    tokio::time::timeout(LIMIT, connections.wait_for(|count| *count == 1)).await.unwrap().unwrap();
    let waiting =
        tokio::time::timeout(Duration::from_millis(50), api.api.last_word(std::future::pending::<()>())).await;
    assert_eq!(waiting.ok(), None);
    drop(stream);
    assert_eq!(tokio::time::timeout(LIMIT, api.api.last_word(std::future::pending::<()>())).await.unwrap(), None);
}

/// A connection with an event in work, and the invocation id that came with it.
async fn attempt_of(api: &Api) -> (impl Future<Output = Answered> + use<>, String) {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let request = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    api.api.initialised().await.unwrap();
    let answer = api.api.offer(invocation(ID, "{}"));
    let mut head = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut head)).await.unwrap().unwrap();
    let attempt = head.lines().find_map(|line| line.strip_prefix("lambda-runtime-invocation-id: ")).unwrap();
    (answer, attempt.to_owned())
}

#[tokio::test]
async fn an_answer_with_the_invocation_id_of_another_attempt_is_gone() {
    let api = api().await;
    let (answer, attempt) = attempt_of(&api).await;
    let post = |kind: &str, attempt: &str| {
        format!(
            "POST /2018-06-01/runtime/invocation/{ID}/{kind} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Lambda-Runtime-Invocation-Id: {attempt}\r\nContent-Length: 1\r\n\r\n1"
        )
    };
    for kind in ["response", "error"] {
        let refused = api.send(&post(kind, OTHER_ID)).await;
        assert_eq!(error_type(&refused), (410, "ErrorRuntimeInvokeTimeout".to_owned()), "{kind}");
    }
    assert_eq!(api.send(&post("response", &attempt)).await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("1")));
}

#[tokio::test]
async fn each_of_several_waiting_requests_gets_an_event_of_its_own() {
    let exchange = Exchange::default();
    let (mut first, mut second) = (std::pin::pin!(exchange.next()), std::pin::pin!(exchange.next()));
    tokio::select! {
        biased;
        handed = &mut first => panic!("an event before there is one: {handed:?}"),
        handed = &mut second => panic!("an event before there is one: {handed:?}"),
        () = std::future::ready(()) => {}
    }
    let answer = |id: &str| {
        let reference = Reference { id: id.to_owned(), attempt: None, to: "InvocationResponse" };
        exchange.answer(&reference, Answered::Success(Bytes::new()))
    };
    let _first_answer = exchange.offer(invocation(ID, "{}"));
    assert_eq!(first.await.unwrap().invocation.id.as_str(), ID);
    tokio::select! {
        biased;
        handed = &mut second => panic!("a second event while one is in work: {handed:?}"),
        () = std::future::ready(()) => {}
    }
    answer(ID).unwrap();
    let _second_answer = exchange.offer(invocation(OTHER_ID, "{}"));
    assert_eq!(second.await.unwrap().invocation.id.as_str(), OTHER_ID);
    answer(OTHER_ID).unwrap();
}

/// The head of a streamed answer.
fn streamed(trailers: &str) -> String {
    format!(
        "POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: text/x-parts\r\n{trailers}\r\n"
    )
}

fn wanting_parts() -> (Invocation, tokio::sync::mpsc::Receiver<StreamPart>) {
    let (sink, parts) = StreamSink::channel();
    (Invocation { stream: Some(sink), ..invocation(ID, "{}") }, parts)
}

#[tokio::test]
async fn parts_reach_the_caller_while_the_answer_is_still_written() {
    let api = api().await;
    let (invocation, mut parts) = wanting_parts();
    let answer = api.running_on(invocation).await;
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    stream.write_all(format!("{}4\r\nfour\r\n", streamed("")).as_bytes()).await.unwrap();
    assert_eq!(parts.recv().await, Some(StreamPart::ContentType("text/x-parts".to_owned())));
    assert_eq!(parts.recv().await, Some(StreamPart::Chunk(Bytes::from("four"))));
    // The answer has begun: no other is taken, and no other event given.
    let second = api.post(&format!("invocation/{ID}/response"), "2").await;
    assert_eq!(error_type(&second), (403, "InvalidStateTransition".to_owned()));
    assert_eq!(error_type(&api.get("invocation/next").await).0, 403);
    stream.write_all(b"1\r\n!\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(parts.recv().await, Some(StreamPart::Chunk(Bytes::from("!"))));
    assert_eq!((answer.await, parts.recv().await), (Answered::Streamed(None), None));
}

const TRAILERS: &str = "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n";
const ERROR_END: &str = "4\r\npart\r\n0\r\nLambda-Runtime-Function-Error-Type: Mine\r\n\
                         Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJNaW5lIn0=\r\n\r\n";
const ERROR_DOCUMENT: &[u8] = br#"{"errorType":"Mine"}"#;

#[tokio::test]
async fn an_error_in_trailers_ends_a_stream_and_is_the_whole_answer_for_a_caller_who_buffers() {
    let api = api().await;
    let (invocation, mut parts) = wanting_parts();
    let answer = api.running_on(invocation).await;
    let request = streamed(TRAILERS) + ERROR_END;
    assert_eq!(api.send(&request).await, (202, "{\"status\":\"OK\"}\n".to_owned()));
    assert_eq!(answer.await, Answered::Streamed(Some(Bytes::from_static(ERROR_DOCUMENT))));
    assert_eq!(parts.recv().await, Some(StreamPart::ContentType("text/x-parts".to_owned())));
    assert_eq!(parts.recv().await, Some(StreamPart::Chunk(Bytes::from("part"))));
    assert_eq!(parts.recv().await, None);
    let answer = api.running(ID).await;
    assert_eq!(api.send(&request).await.0, 202);
    assert_eq!(answer.await, Answered::Error(Bytes::from_static(ERROR_DOCUMENT)));
    let answer = api.running(ID).await;
    assert_eq!(api.send(&(streamed("") + "4\r\npart\r\n4\r\nmore\r\n0\r\n\r\n")).await.0, 202);
    assert_eq!(answer.await, Answered::Success(Bytes::from("partmore")));
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_off_is_truncated() {
    let api = api().await;
    for buffered in [true, false] {
        let (wanting, mut parts) = wanting_parts();
        let answer = api.running_on(if buffered { invocation(ID, "{}") } else { wanting }).await;
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(format!("{}4\r\nfour\r\n", streamed("")).as_bytes()).await.unwrap();
        if !buffered {
            parts.recv().await.unwrap();
        }
        drop(stream);
        assert_eq!(answer.await, Answered::Truncated { streamed: !buffered });
    }
}

#[tokio::test]
async fn an_unknown_response_mode_is_an_error_of_the_runtime() {
    let api = api().await;
    let answer = api.running(ID).await;
    let request = streamed("").replace("Mode: streaming", "Mode: sideways") + "0\r\n\r\n";
    assert_eq!(error_type(&api.send(&request).await), (400, "InvalidFunctionResponseMode".to_owned()));
    let Answered::Error(document) = answer.await else { panic!("no error") };
    assert!(document.starts_with(br#"{"errorMessage":"Invalid function response mode""#), "{document:?}");
}

/// A request whose body is announced and held back; `100 Continue` comes when the server begins to read it.
async fn held_back(api: &Api) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn is_read(stream: &mut TcpStream) {
    let mut line = [0; 12];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"HTTP/1.1 100");
}

#[tokio::test]
async fn a_function_cannot_fill_the_servers_memory_with_answers() {
    let api = api().await;
    let _answer = api.running(ID).await;
    let (mut first, mut second) = (held_back(&api).await, held_back(&api).await);
    is_read(&mut first).await;
    is_read(&mut second).await;
    let mut third = held_back(&api).await;
    // Whole exchanges after it: the server has seen it, and does not read it.
    for _ in 0..10 {
        assert_eq!(api.get("nothing").await.0, 404);
    }
    assert_eq!(third.try_read(&mut [0; 12]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    is_read(&mut third).await;
}
