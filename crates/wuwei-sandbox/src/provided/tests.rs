use std::time::Duration;

use bytes::Bytes;
use wuwei_model::limits::{SYNC_PAYLOAD_BYTES_MAX, SYNC_RESPONSE_BYTES_MAX};

use crate::instance::{InitFailure, InvokeFailure, ProcessExit, Reply};
use crate::runtimes::test_process::{Function, ID, LIMIT, invocation, test_interpreter};
use crate::stream::{StreamPart, StreamSink};

/// A runtime in shell and curl, as AWS's tutorial has one: it answers each event with itself.
const SHELL: &str = r#"#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  curl -sS -o event -D headers "$api/invocation/next"
  id=$(tr -d '\r' <headers | sed -n 's/^lambda-runtime-aws-request-id: //ip')
  echo "event for $id"
  case $(head -c 20 event) in
    *fail*) curl -sS -o out --data-binary '{"errorMessage":"no","errorType":"Shell"}' "$api/invocation/$id/error" ;;
    *exit*) echo leaving; exit 7 ;;
    *chunked*) curl -sS -o out -H 'Transfer-Encoding: chunked' --data-binary @event "$api/invocation/$id/response" ;;
    *) curl -sS -o out --data-binary @event "$api/invocation/$id/response" ;;
  esac
  cat out
done
"#;

/// The start of a runtime in Python: `call(method, path, body)` gives status, headers and body.
fn python_runtime(body: &str) -> String {
    let interpreter = test_interpreter().executable.display();
    format!(
        "#!{interpreter} -IS
import http.client, os, sys, time
connection = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
def call(method, path, body=None, **options):
    connection.request(method, '/2018-06-01/runtime/' + path, body, **options)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()
def next_event():
    status, headers, body = call('GET', 'invocation/next')
    return headers['Lambda-Runtime-Aws-Request-Id'], headers, body
{body}
"
    )
}

#[tokio::test]
async fn a_shell_script_is_a_runtime() {
    let mut function = Function::custom(SHELL);
    assert_eq!(function.call(r#"{"a": 1}"#).await.unwrap(), Reply::Success(Bytes::from(r#"{"a": 1}"#)));
    // The line that came after the answer belongs to the next invocation, or is already here.
    assert_eq!(function.lines.0[0], format!("event for {ID}"));
    let error = Bytes::from(r#"{"errorMessage":"no","errorType":"Shell"}"#);
    assert_eq!(function.invoke(r#""fail""#).await.unwrap(), Reply::Error(error));
    assert!(function.lines.0.contains(&r#"{"status":"OK"}"#.to_owned()), "{:?}", function.lines.0);
    assert_eq!(function.invoke(r#""chunked""#).await.unwrap(), Reply::Success(Bytes::from(r#""chunked""#)));
    let reply = function.invoke(r#""exit""#).await;
    assert!(matches!(reply, Err(InvokeFailure::Exited(ProcessExit::Code(7)))), "{reply:?}");
    assert_eq!(function.lines.0.last().unwrap(), "leaving");
    assert!(!function.instance.is_alive());
    function.instance.stop().await;
}

#[tokio::test]
async fn an_event_comes_with_all_its_headers() {
    let runtime = python_runtime(
        "import json
while True:
    id, headers, body = next_event()
    call('POST', 'invocation/%s/response' % id, json.dumps({name.lower(): headers[name] for name in headers}))",
    );
    let mut function = Function::custom(&runtime);
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.deadline = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    invocation.client_context = Some("{\n  \"custom\": {\"k\": 1}\n}".to_owned());
    invocation.cognito_identity = Some("{ \"cognitoIdentityId\": \"id\" }".to_owned());
    invocation.tenant_id = Some("blue".to_owned());
    let reply = function.instance.invoke(invocation, &mut function.lines).await.unwrap();
    let Reply::Success(document) = reply else { panic!("{reply:?}") };
    let headers: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(headers["lambda-runtime-aws-request-id"], ID);
    assert_eq!(headers["lambda-runtime-deadline-ms"], "1700000000123");
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!(headers["lambda-runtime-trace-id"], "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0");
    assert_eq!(headers["lambda-runtime-client-context"], r#"{"custom":{"k":1}}"#);
    assert_eq!(headers["lambda-runtime-cognito-identity"], r#"{"cognitoIdentityId":"id"}"#);
    assert_eq!(headers["lambda-runtime-aws-tenant-id"], "blue");
    assert_ne!(headers["lambda-runtime-invocation-id"], ID);
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn answers_pass_at_the_limit_and_are_refused_beyond_it() {
    let runtime = python_runtime(
        "id, headers, body = next_event()
print(call('POST', 'invocation/%s/response' % id, body)[0], flush=True)
id, headers, body = next_event()
print(call('POST', 'invocation/%s/response' % id, b'x' * int(body))[0], flush=True)
id, headers, body = next_event()
pieces = (b'x' * 100000 for _ in range(int(body) // 100000))
options = {'encode_chunked': True, 'headers': {'Transfer-Encoding': 'chunked'}}
print(call('POST', 'invocation/%s/response' % id, pieces, **options)[0], flush=True)
id, headers, body = next_event()
print(call('POST', 'invocation/%s/response' % id, b'x' * int(body)), flush=True)
time.sleep(60)",
    );
    let mut function = Function::custom(&runtime);
    let event = Bytes::from(format!("\"{}\"", "x".repeat(SYNC_PAYLOAD_BYTES_MAX - 2)));
    assert_eq!(function.call(event.clone()).await.unwrap(), Reply::Success(event));
    let reply = function.invoke(SYNC_RESPONSE_BYTES_MAX.to_string()).await.unwrap();
    assert!(matches!(reply, Reply::Success(bytes) if bytes.len() == SYNC_RESPONSE_BYTES_MAX));
    let reply = function.invoke("7000000").await;
    assert!(matches!(reply, Err(InvokeFailure::ResponseTooLarge(7_000_000))), "{reply:?}");
    let size = SYNC_RESPONSE_BYTES_MAX + 1;
    let reply = function.invoke(size.to_string()).await;
    assert!(matches!(reply, Err(InvokeFailure::ResponseTooLarge(bytes)) if bytes == size as u64), "{reply:?}");
}

#[tokio::test]
async fn a_runtime_that_cannot_start_says_why() {
    let mut function = Function::custom(&python_runtime(
        "print(call('POST', 'init/error', b'{\"errorType\": \"Runtime.NoIdea\"}'), flush=True)
sys.exit(1)",
    ));
    let Err(InitFailure::Reported(document)) = function.initialise().await else { panic!("no report") };
    assert_eq!(document, r#"{"errorType": "Runtime.NoIdea"}"#);
}

#[tokio::test]
async fn a_runtime_that_ends_or_hangs_at_its_start_is_seen() {
    let mut function = Function::custom("#!/bin/sh\necho starting\nexit 3\n");
    let outcome = function.initialise().await;
    assert!(matches!(outcome, Err(InitFailure::Exited(ProcessExit::Code(3)))), "{outcome:?}");
    assert_eq!(function.lines.0, ["starting"]);
    let mut function = Function::custom("#!/bin/sh\nexec sleep 60\n");
    let outcome = function.instance.initialise(Duration::from_millis(200), &mut function.lines).await;
    assert!(matches!(outcome, Err(InitFailure::Timeout)), "{outcome:?}");
    function.instance.stop().await;
}

#[tokio::test]
async fn a_runtime_that_does_not_answer_runs_into_the_time_limit() {
    let mut function = Function::custom(&python_runtime("next_event()\nprint('got it', flush=True)\ntime.sleep(60)"));
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.timeout = Duration::from_millis(500);
    let reply = function.instance.invoke(invocation, &mut function.lines).await;
    assert!(matches!(reply, Err(InvokeFailure::Timeout)), "{reply:?}");
    assert_eq!(function.lines.0, ["got it"]);
}

#[tokio::test]
async fn an_answer_counts_although_the_runtime_ends_right_after_sending_it() {
    for _ in 0..5 {
        let mut function = Function::custom(&python_runtime(
            "id, headers, body = next_event()
connection.request('POST', '/2018-06-01/runtime/invocation/%s/response' % id, b'1')
os._exit(0)",
        ));
        assert_eq!(function.call("{}").await.unwrap(), Reply::Success(Bytes::from("1")));
    }
}

#[tokio::test]
async fn an_idle_runtime_waits_on_an_open_connection_and_its_death_is_seen() {
    let mut function = Function::custom(&python_runtime(
        "id, headers, body = next_event()
call('POST', 'invocation/%s/response' % id, b'1')
sys.exit(2)",
    ));
    function.call("{}").await.unwrap();
    let dead = async {
        while function.instance.is_alive() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, dead).await.unwrap();
    let reply = function.invoke("{}").await;
    assert!(matches!(reply, Err(InvokeFailure::NotTaken(ProcessExit::Code(2), _))), "{reply:?}");
}

#[tokio::test]
async fn an_event_comes_back_from_a_runtime_that_ends_without_asking_for_it() {
    let mut function = Function::custom(&python_runtime(
        "id, headers, body = next_event()
call('POST', 'invocation/%s/response' % id, b'1')
while not os.path.exists('offered'): time.sleep(0.001)",
    ));
    function.call("{}").await.unwrap();
    let offered = function.directory().join("offered");
    // The event is there before the runtime may end.
    let (reply, ()) = tokio::join!(function.invoke("[7]"), async { std::fs::write(offered, "").unwrap() });
    let Err(InvokeFailure::NotTaken(ProcessExit::Code(0), event)) = reply else { panic!("{reply:?}") };
    assert_eq!((event.id.as_str(), event.payload.as_ref()), (ID, &b"[7]"[..]));
}

#[tokio::test]
async fn an_event_that_was_taken_does_not_come_back() {
    let mut function = Function::custom(&python_runtime("next_event()\nsys.exit(3)"));
    let reply = function.call("{}").await;
    assert!(matches!(reply, Err(InvokeFailure::Exited(ProcessExit::Code(3)))), "{reply:?}");
}

#[tokio::test]
async fn a_runtime_that_ends_in_the_middle_of_a_streamed_answer_has_exited() {
    for wanted in [true, false] {
        let mut function = Function::custom(&python_runtime(
            "id, headers, body = next_event()
connection.putrequest('POST', '/2018-06-01/runtime/invocation/%s/response' % id)
connection.putheader('Lambda-Runtime-Function-Response-Mode', 'streaming')
connection.putheader('Transfer-Encoding', 'chunked')
connection.endheaders(b'4\\r\\nhalf\\r\\n')
os._exit(4)",
        ));
        function.initialise().await.unwrap();
        let mut invocation = invocation(ID, "{}");
        let (sink, mut parts) = StreamSink::channel();
        invocation.stream = wanted.then_some(sink);
        let reply = function.instance.invoke(invocation, &mut function.lines).await;
        assert!(matches!(reply, Err(InvokeFailure::Exited(ProcessExit::Code(4)))), "{reply:?}");
        let part = wanted.then(|| StreamPart::Chunk(Bytes::from("half")));
        assert_eq!(parts.recv().await, part);
    }
}

#[tokio::test]
async fn a_runtime_that_ends_after_reporting_an_error_is_dead_when_the_error_is_there() {
    let mut function = Function::custom(&python_runtime(
        "id, headers, body = next_event()
call('POST', 'invocation/%s/error' % id, b'{}')
sys.exit(1)",
    ));
    assert_eq!(function.call("{}").await.unwrap(), Reply::Error(Bytes::from("{}")));
    assert!(!function.instance.is_alive());
}
