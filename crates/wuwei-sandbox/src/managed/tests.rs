use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::instance::{InitFailure, InvokeFailure, ProcessExit, Reply};
use crate::runtimes::test_process::{Function, ID, LIMIT, invocation};
use wuwei_model::limits::{SYNC_PAYLOAD_BYTES_MAX, SYNC_RESPONSE_BYTES_MAX};

fn success(reply: Result<Reply, InvokeFailure>) -> Value {
    match reply {
        Ok(Reply::Success(document)) => serde_json::from_slice(&document).unwrap(),
        other => panic!("expected a result, got {other:?}"),
    }
}

fn document_text(document: &[u8], member: &str) -> String {
    serde_json::from_slice::<Value>(document).unwrap()[member].as_str().unwrap().to_owned()
}

fn error(reply: Result<Reply, InvokeFailure>) -> Value {
    match reply {
        Ok(Reply::Error(document)) => serde_json::from_slice(&document).unwrap(),
        other => panic!("expected an error document, got {other:?}"),
    }
}

#[tokio::test]
async fn a_handler_gets_the_event_and_its_result_comes_back() {
    let mut function =
        Function::python("def handler(event, context):\n    return {'got': event, 'id': context.aws_request_id}");
    assert_eq!(success(function.call(r#"{"a": [1, "é"]}"#).await), json!({"got": {"a": [1, "é"]}, "id": ID}));
    assert_eq!(function.instance.usage().cpu_us, 7);
    assert!(function.instance.is_alive());
    function.instance.stop().await;
}

#[tokio::test]
async fn one_instance_answers_many_events_and_keeps_its_state() {
    let mut function = Function::python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n");
    assert_eq!(success(function.call("{}").await), json!(1));
    for expected in 2..20 {
        assert_eq!(success(function.invoke("{}").await), json!(expected));
    }
}

#[tokio::test]
async fn the_context_carries_what_the_invocation_says() {
    let code = "import os
def handler(event, context):
    return [context.invoked_function_arn, os.environ['_X_AMZN_TRACE_ID'], context.client_context.client.app_title,
            context.client_context.custom, 0 < context.get_remaining_time_in_millis() <= 20000]";
    let mut function = Function::python(code);
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.client_context = Some(r#"{"client": {"app_title": "t"}, "custom": {"k": 1}}"#.to_owned());
    let (arn, trace) = (invocation.invoked_function_arn.clone(), invocation.trace_id.clone());
    let reply = function.instance.invoke(invocation, &mut function.lines).await;
    assert_eq!(success(reply), json!([arn, trace, "t", {"k": 1}, true]));
}

#[tokio::test]
async fn a_failing_import_is_reported_with_its_log_entry() {
    let mut function = Function::python("import nowhere");
    let Err(InitFailure::Reported(document)) = function.initialise().await else { panic!("no report") };
    assert_eq!(
        serde_json::from_slice::<Value>(&document).unwrap(),
        json!({"errorMessage": "Unable to import module 'app': No module named 'nowhere'",
               "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []})
    );
    let message = document_text(&document, "errorMessage");
    let log = format!("[ERROR] Runtime.ImportModuleError: {message}\nTraceback (most recent call last):");
    assert_eq!(function.lines.0, [log]);
}

#[tokio::test]
async fn an_exception_of_the_handler_is_an_error_reply_and_the_instance_lives_on() {
    let code = "def handler(event, context):\n    if event: raise ValueError('boom')\n    return 'fine'";
    let mut function = Function::python(code);
    let document = error(function.call("1").await);
    assert_eq!(document["errorType"], "ValueError");
    assert_eq!(document["errorMessage"], "boom");
    assert_eq!(document["requestId"], ID);
    let frame = document["stackTrace"][0].as_str().unwrap();
    assert!(frame.ends_with("app.py\", line 2, in handler\n    if event: raise ValueError('boom')\n"), "{frame}");
    assert_eq!(document["stackTrace"].as_array().unwrap().len(), 1);
    assert!(
        function
            .lines
            .0
            .concat()
            .starts_with("[ERROR] ValueError: boom\nTraceback (most recent call last):\n\u{a0}\u{a0}File ")
    );
    assert_eq!(success(function.invoke("0").await), json!("fine"));
}

#[tokio::test]
async fn output_keeps_its_order_and_is_there_when_the_answer_is() {
    let code = "import os, sys
print('at import')
def handler(event, context):
    print('one')
    print('two', file=sys.stderr)
    os.write(1, b'raw \\xff\\n')
    sys.stdout.write('no newline')
    if event: raise KeyError('k')";
    let mut function = Function::python(code);
    function.initialise().await.unwrap();
    assert_eq!(function.lines.0, ["at import"]);
    // Many times: an answer that overtakes its output shows up as a race.
    for _ in 0..50 {
        function.lines.0.clear();
        assert_eq!(success(function.invoke("0").await), Value::Null);
        assert_eq!(function.lines.0, ["one", "two", "raw \u{fffd}", "no newline"]);
    }
    function.lines.0.clear();
    error(function.invoke("1").await);
    assert_eq!(function.lines.0[..4], ["one", "two", "raw \u{fffd}", "no newline"]);
    assert!(function.lines.0[4].starts_with("[ERROR] KeyError: 'k'\n"));
}

#[tokio::test]
async fn output_that_fills_the_pipe_many_times_passes_while_the_handler_runs() {
    let code = "def handler(event, context):\n    for i in range(40000): print('line %d' % i)\n    return 'done'";
    let mut function = Function::python(code);
    assert_eq!(success(function.call("{}").await), json!("done"));
    assert_eq!(function.lines.0.len(), 40_000);
    assert_eq!(function.lines.0[39_999], "line 39999");
}

#[tokio::test]
async fn the_largest_payloads_pass_in_both_directions() {
    let mut function = Function::python("def handler(event, context):\n    return event");
    // A string and its two quotes.
    let event = format!("\"{}\"", "x".repeat(SYNC_PAYLOAD_BYTES_MAX - 2));
    assert_eq!(function.call(event.clone()).await.unwrap(), Reply::Success(Bytes::from(event)));
}

#[tokio::test]
async fn an_answer_passes_at_the_limit_and_one_byte_more_is_too_large() {
    let code = "def handler(event, context):\n    return b'x' * event";
    let mut function = Function::python(code);
    let reply = function.call(SYNC_RESPONSE_BYTES_MAX.to_string()).await.unwrap();
    assert!(matches!(reply, Reply::Success(bytes) if bytes.len() == SYNC_RESPONSE_BYTES_MAX));
    for size in [SYNC_RESPONSE_BYTES_MAX + 1, 20_000_000] {
        let mut function = Function::python(code);
        let reply = function.call(size.to_string()).await;
        assert!(matches!(reply, Err(InvokeFailure::ResponseTooLarge(bytes)) if bytes == size as u64), "{reply:?}");
    }
}

#[tokio::test]
async fn an_exit_in_the_handler_ends_the_invocation_after_its_output() {
    for (statement, expected) in [
        ("import sys; sys.exit(3)", ProcessExit::Code(3)),
        ("exit()", ProcessExit::Code(0)),
        ("import os; os._exit(5)", ProcessExit::Code(5)),
        ("import os; os.kill(os.getpid(), 9)", ProcessExit::Signal(9)),
        ("import os; os.abort()", ProcessExit::Signal(6)),
    ] {
        let code = format!("def handler(event, context):\n    print('last words')\n    {statement}");
        let mut function = Function::python(&code);
        let reply = function.call("{}").await;
        assert!(matches!(reply, Err(InvokeFailure::Exited(exit)) if exit == expected), "{statement}: {reply:?}");
        assert_eq!(function.lines.0[0], "last words", "{statement}");
        assert!(!function.instance.is_alive());
        function.instance.stop().await;
    }
}

#[tokio::test]
async fn an_exit_at_import_is_an_exit_during_initialisation() {
    let mut function = Function::python("print('bye')\nraise SystemExit(4)");
    let outcome = function.initialise().await;
    assert!(matches!(outcome, Err(InitFailure::Exited(ProcessExit::Code(4)))), "{outcome:?}");
    assert_eq!(function.lines.0, ["bye"]);
}

#[tokio::test]
async fn time_limits_hold_and_keep_the_output() {
    let code =
        "import time\ndef handler(event, context):\n    print('working', end='', flush=True)\n    time.sleep(60)";
    let mut function = Function::python(code);
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.timeout = Duration::from_millis(300);
    let reply = function.instance.invoke(invocation, &mut function.lines).await;
    assert!(matches!(reply, Err(InvokeFailure::Timeout)), "{reply:?}");
    assert_eq!(function.lines.0, ["working"]);
    function.instance.stop().await;

    let mut function = Function::python("import time\ntime.sleep(60)\ndef handler(event, context): pass");
    let outcome = function.instance.initialise(Duration::from_millis(300), &mut function.lines).await;
    assert!(matches!(outcome, Err(InitFailure::Timeout)), "{outcome:?}");
}

#[tokio::test]
async fn a_flood_of_output_cannot_outlast_the_time_limit() {
    let mut function = Function::python("def handler(event, context):\n    while True: print('x' * 100)");
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.timeout = Duration::from_millis(300);
    let reply = function.instance.invoke(invocation, &mut function.lines).await;
    assert!(matches!(reply, Err(InvokeFailure::Timeout)), "{reply:?}");
}

#[tokio::test]
async fn forged_frames_break_the_protocol_and_nothing_else() {
    let id = ID.as_bytes();
    let frame = |kind: u8, id: &[u8], document: &str| {
        let mut payload = vec![u8::try_from(id.len()).unwrap()];
        payload.extend(id);
        payload.extend([0; 4]);
        payload.extend(document.as_bytes());
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        [&length[..], &[kind], &payload].concat()
    };
    let success = frame(18, id, "1");
    let cases = [
        ("garbage", b"garbage garbage".to_vec()),
        ("unknown kind", frame(99, id, "1")),
        ("a request", frame(1, id, "1")),
        ("ready again", frame(16, id, "")),
        ("another id", frame(18, b"00000000-0000-4000-8000-000000000002", "1")),
        ("no id", frame(18, b"", "1")),
        ("two answers", [success.clone(), success].concat()),
        ("an id longer than the frame", vec![3, 0, 0, 0, 18, 200, 1, 2]),
        ("no room for the lengths", vec![1, 0, 0, 0, 18, 0]),
    ];
    for (name, bytes) in cases {
        let code = format!(
            "import os, time\ndef handler(event, context):\n    os.write(3, bytes({bytes:?}))\n    time.sleep(60)"
        );
        let mut function = Function::python(&code);
        let reply = function.call("{}").await;
        assert!(matches!(reply, Err(InvokeFailure::Protocol(_))), "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn a_length_that_nothing_follows_costs_no_memory_and_ends_at_the_time_limit() {
    let code =
        "import os, time\ndef handler(event, context):\n    os.write(3, bytes([0, 0, 96, 0, 18]))\n    time.sleep(60)";
    let mut function = Function::python(code);
    function.initialise().await.unwrap();
    let mut invocation = invocation(ID, "{}");
    invocation.timeout = Duration::from_millis(300);
    let reply = function.instance.invoke(invocation, &mut function.lines).await;
    assert!(matches!(reply, Err(InvokeFailure::Timeout)), "{reply:?}");
}

#[tokio::test]
async fn an_answer_that_comes_late_does_not_pass_for_the_next_one() {
    // A second answer to the first event, sent when the second event is there.
    let code = "import os
def handler(event, context):
    if event == 1:
        identity = context.aws_request_id.encode()
        payload = bytes([len(identity)]) + identity + bytes(4) + b'\"forged\"'
        handler.late = len(payload).to_bytes(4, 'little') + bytes([18]) + payload
        return 'first'
    os.write(3, handler.late)
    return 'second'";
    let mut function = Function::python(code);
    assert_eq!(success(function.call("1").await), json!("first"));
    let second = invocation("00000000-0000-4000-8000-000000000002", "2");
    let reply = function.instance.invoke(second, &mut function.lines).await;
    assert!(matches!(reply, Err(InvokeFailure::Protocol(_))), "{reply:?}");
}

#[tokio::test]
async fn closing_the_control_socket_breaks_the_protocol() {
    let mut function =
        Function::python("import os, time\ndef handler(event, context):\n    os.close(3)\n    time.sleep(60)");
    let reply = function.call("{}").await;
    assert!(matches!(reply, Err(InvokeFailure::Protocol(_))), "{reply:?}");
}

#[tokio::test]
async fn an_answer_counts_although_the_process_ends_right_after_it() {
    let code = "import os
def handler(event, context):
    identity = context.aws_request_id.encode()
    payload = bytes([len(identity)]) + identity + bytes(4) + b'\"answered\"'
    os.write(3, len(payload).to_bytes(4, 'little') + bytes([18]) + payload)
    os._exit(0)";
    for _ in 0..10 {
        let mut function = Function::python(code);
        assert_eq!(success(function.call("{}").await), json!("answered"));
    }
}

#[tokio::test]
async fn an_idle_instance_that_dies_is_seen() {
    let mut function = Function::python("import os\ndef handler(event, context):\n    return os.getpid()");
    let pid = success(function.call("{}").await).as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let alive = async {
        while function.instance.is_alive() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, alive).await.unwrap();
    let reply = function.invoke("{}").await;
    assert!(matches!(reply, Err(InvokeFailure::Exited(ProcessExit::Signal(15)))), "{reply:?}");
}

#[tokio::test]
async fn child_processes_of_a_function_do_not_hold_the_control_socket() {
    let code = "import os, subprocess
def handler(event, context):
    command = ['/bin/ls', '-l', '/proc/self/fd']
    listing = subprocess.run(command, stdout=subprocess.PIPE, close_fds=False).stdout.decode()
    return [os.readlink('/proc/self/fd/3') in listing, 'pipe:' in listing]";
    let mut function = Function::python(code);
    assert_eq!(success(function.call("{}").await), json!([false, true]));
}
