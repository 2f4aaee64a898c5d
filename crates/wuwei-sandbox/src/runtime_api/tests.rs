use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Answered, RuntimeApi};
use crate::runtimes::test_process::{ID, LIMIT, invocation};

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
        let mut event = std::pin::pin!(self.get("invocation/next"));
        tokio::select! {
            biased;
            event = &mut event => panic!("an event before there is one: {event:?}"),
            initialised = self.api.initialised() => initialised.unwrap(),
        }
        let answer = self.api.offer(invocation(id, "{}"));
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
        assert_eq!(api.get(path).await.0, 404, "{path}");
    }
    assert_eq!(api.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.0, 404);
    assert_eq!(api.post("invocation/next", "").await.0, 405);
    assert_eq!(api.get("init/error").await.0, 405);
    assert_eq!(api.get(&format!("invocation/{ID}/response")).await.0, 405);
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
