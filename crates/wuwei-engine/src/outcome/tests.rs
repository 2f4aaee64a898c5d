use std::time::{Duration, SystemTime};

use super::{Failure, Setback};
use bytes::Bytes;
use wuwei_model::{InvocationId, Outcome};
use wuwei_sandbox::{InitFailure, InvokeFailure, ProcessExit};

fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_161_600_000)
}

fn invocation(failure: InvokeFailure) -> Failure {
    Failure::of_invocation(&InvocationId::new("id-1"), failure, Duration::from_secs(3), at())
}

fn document(failure: &Failure) -> &str {
    std::str::from_utf8(&failure.document).unwrap()
}

#[test]
fn each_way_to_exit_has_its_text() {
    let check = |exit, outcome, error_type: &str, text: &str| {
        let failure = invocation(InvokeFailure::Exited(exit));
        let expected = format!(r#"{{"errorType":"{error_type}","errorMessage":"RequestId: id-1 Error: {text}"}}"#);
        assert_eq!(document(&failure), expected);
        assert_eq!(failure.outcome, outcome);
        assert_eq!(failure.log_line.unwrap(), format!("RequestId: id-1 Error: {text}\n{error_type}"));
    };
    let exit_error = "Runtime.ExitError";
    check(ProcessExit::Code(0), Outcome::Crash, exit_error, "Runtime exited without providing a reason");
    check(ProcessExit::Code(1), Outcome::Crash, exit_error, "Runtime exited with error: exit status 1");
    check(ProcessExit::Signal(9), Outcome::Crash, exit_error, "Runtime exited with error: signal: killed");
    check(ProcessExit::Signal(11), Outcome::Crash, exit_error, "Runtime exited with error: signal: segmentation fault");
    check(ProcessExit::Signal(63), Outcome::Crash, exit_error, "Runtime exited with error: signal: signal 63");
    check(ProcessExit::Lost, Outcome::Crash, exit_error, "Runtime exited without providing a reason");
    let killed = "Runtime exited with error: signal: killed";
    check(ProcessExit::OutOfMemory, Outcome::OutOfMemory, "Runtime.OutOfMemory", killed);
}

#[test]
fn a_timeout_names_the_seconds_in_answer_and_log() {
    let failure = invocation(InvokeFailure::Timeout);
    assert_eq!(failure.outcome, Outcome::Timeout);
    assert_eq!(
        document(&failure),
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id-1 Error: Task timed out after 3.00 seconds"}"#
    );
    assert_eq!(failure.log_line.unwrap(), "2026-11-20T08:00:00.000Z id-1 Task timed out after 3.00 seconds");
}

#[test]
fn a_response_past_the_limit_has_its_own_type() {
    let failure = invocation(InvokeFailure::ResponseTooLarge(7_000_000));
    assert_eq!(
        document(&failure),
        r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#
    );
    assert_eq!(failure.outcome, Outcome::FunctionError);
    assert_eq!(failure.log_line, None);
}

#[test]
fn text_from_a_runtime_cannot_break_the_document() {
    let failure = invocation(InvokeFailure::Protocol("frame \"\u{1}\\".to_owned()));
    let parsed: serde_json::Value = serde_json::from_slice(&failure.document).unwrap();
    assert_eq!(parsed["errorMessage"], "RequestId: id-1 Error: Runtime broke the invocation protocol: frame \"\u{1}\\");
}

fn setback(setback: Setback) -> Failure {
    Failure::of_setback(&InvocationId::new("id-1"), setback, Duration::from_secs(3), at())
}

fn reported(text: &'static str) -> Setback {
    Setback::Initialisation(InitFailure::Reported(Bytes::from_static(text.as_bytes())))
}

#[test]
fn what_cannot_be_started_is_an_invalid_entrypoint() {
    let check = |setback_: Setback, text: &str| {
        assert_eq!(setback_.error_type().as_deref(), Some("Runtime.InvalidEntrypoint"));
        let failure = setback(setback_);
        let message = format!("RequestId: id-1 Error: {text}");
        let expected = format!(r#"{{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"{message}"}}"#);
        assert_eq!(document(&failure), expected);
        assert_eq!(failure.log_line.unwrap(), format!("{message}\nRuntime.InvalidEntrypoint"));
        assert_eq!(failure.error_type.as_deref(), Some("Runtime.InvalidEntrypoint"));
        assert_eq!(failure.outcome, Outcome::Crash);
    };
    check(Setback::NoBootstrap, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
    let not_executed = |number| Setback::Initialisation(InitFailure::Exited(ProcessExit::NotExecuted(number)));
    check(not_executed(2), "fork/exec /var/task/bootstrap: no such file or directory");
    check(not_executed(8), "fork/exec /var/task/bootstrap: exec format error");
    check(not_executed(13), "fork/exec /var/task/bootstrap: permission denied");
    check(not_executed(999), "fork/exec /var/task/bootstrap: errno 999");
}

#[test]
fn a_reported_initialisation_error_is_passed_on_unchanged() {
    let text = r#"{"errorMessage":"no module","errorType":"Runtime.ImportModuleError"}"#;
    let failure = setback(reported(text));
    assert_eq!(document(&failure), text);
    assert_eq!((failure.outcome, failure.log_line), (Outcome::FunctionError, None));
    assert_eq!(failure.error_type.as_deref(), Some("Runtime.ImportModuleError"));
}

#[test]
fn only_types_of_the_platforms_kind_are_named_in_the_log() {
    let check = |text: &'static str, expected: &str| {
        assert_eq!(reported(text).error_type().as_deref(), Some(expected), "{text}");
    };
    check(r#"{"errorType":"Runtime.UserCodeSyntaxError"}"#, "Runtime.UserCodeSyntaxError");
    check(r#"{"errorType":"Function.Mine"}"#, "Function.Mine");
    check(r#"{"errorType":"Function.not-a-name"}"#, "Function.Unknown");
    for text in ["not json", "{}", r#"{"errorType":7}"#, "[1]", r#"{"errorType":"ZeroDivisionError"}"#] {
        check(text, "Runtime.Unknown");
    }
    check(r#"{"errorType":"Runtime.X\tforged"}"#, "Runtime.Unknown");
}

#[test]
fn a_timeout_has_a_status_and_no_type() {
    assert_eq!(Setback::Initialisation(InitFailure::Timeout).error_type(), None);
    assert_eq!(setback(Setback::Initialisation(InitFailure::Timeout)).error_type, None);
    let of_exit = |exit| Setback::Initialisation(InitFailure::Exited(exit)).error_type().unwrap();
    assert_eq!(of_exit(ProcessExit::Code(0)), "Runtime.ExitError");
    assert_eq!(of_exit(ProcessExit::OutOfMemory), "Runtime.OutOfMemory");
}
