use std::time::{Duration, SystemTime};

use super::{Failure, init_report_line};
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

#[test]
fn a_package_without_bootstrap_names_where_it_was_sought() {
    let failure = Failure::no_bootstrap(&InvocationId::new("id-1"));
    assert_eq!(
        document(&failure),
        r#"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: id-1 Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}"#
    );
}

#[test]
fn a_reported_initialisation_error_is_passed_on_unchanged() {
    let reported = Bytes::from_static(br#"{"errorMessage":"no module","errorType":"Runtime.ImportModuleError"}"#);
    let id = InvocationId::new("id-1");
    let init = InitFailure::Reported(reported.clone());
    let line = init_report_line(&init, Duration::from_micros(12_300));
    assert_eq!(
        line,
        "INIT_REPORT Init Duration: 12.30 ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError"
    );
    let failure = Failure::of_initialisation(&id, init, Duration::from_secs(10), at());
    assert_eq!(failure.document, reported);
    assert_eq!(failure.outcome, Outcome::FunctionError);
}

#[test]
fn an_error_document_without_a_type_counts_as_unknown() {
    for text in ["not json", "{}", r#"{"errorType":7}"#, "[1]"] {
        let init = InitFailure::Reported(Bytes::from_static(text.as_bytes()));
        assert!(init_report_line(&init, Duration::ZERO).ends_with("Error Type: Runtime.Unknown"), "{text}");
    }
}

#[test]
fn an_initialisation_that_takes_too_long_is_a_timeout_of_its_own_limit() {
    let id = InvocationId::new("id-1");
    let failure = Failure::of_initialisation(&id, InitFailure::Timeout, Duration::from_secs(10), at());
    assert_eq!(
        document(&failure),
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id-1 Error: Task timed out after 10.00 seconds"}"#
    );
    let line = init_report_line(&InitFailure::Timeout, Duration::from_secs(10));
    assert_eq!(line, "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout");
}
