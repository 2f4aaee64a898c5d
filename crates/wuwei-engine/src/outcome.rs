//! AWS's error documents and log lines for calls that a function did not answer itself.
//!
//! All of these reach the caller as status 200 with `X-Amz-Function-Error: Unhandled`. Texts: what the service answers,
//! seen in AWS's documentation and in public issue threads, 2026-11.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use wuwei_model::{InvocationId, Outcome, limits};
use wuwei_sandbox::{InitFailure, InvokeFailure, ProcessExit};

/// How a call without an answer of its handler is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For the report.
    pub(crate) outcome: Outcome,
    /// The error document, JSON text.
    pub(crate) document: Bytes,
    /// What the platform writes into the function's log.
    pub(crate) log_line: Option<String>,
}

impl Failure {
    fn new(outcome: Outcome, error_type: &str, message: &str) -> Self {
        let document =
            format!(r#"{{"errorType":{},"errorMessage":{}}}"#, Value::from(error_type), Value::from(message));
        Self { outcome, document: document.into(), log_line: None }
    }

    /// With the log lines that AWS writes when a runtime ends: the message, then the type.
    fn logged(outcome: Outcome, error_type: &str, message: &str) -> Self {
        let log_line = Some(format!("{message}\n{error_type}"));
        Self { log_line, ..Self::new(outcome, error_type, message) }
    }

    /// The handler or the runtime reported this document itself.
    fn reported(document: Bytes) -> Self {
        Self { outcome: Outcome::FunctionError, document, log_line: None }
    }

    fn exited(id: &InvocationId, exit: ProcessExit) -> Self {
        let message = format!("RequestId: {id} Error: {}", exit_text(exit));
        match exit {
            ProcessExit::OutOfMemory => Self::logged(Outcome::OutOfMemory, "Runtime.OutOfMemory", &message),
            ProcessExit::Code(_) | ProcessExit::Signal(_) | ProcessExit::Lost => {
                Self::logged(Outcome::Crash, "Runtime.ExitError", &message)
            }
        }
    }

    fn timed_out(id: &InvocationId, limit: Duration, at: SystemTime) -> Self {
        let text = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
        let failure = Self::new(Outcome::Timeout, "Sandbox.Timedout", &format!("RequestId: {id} Error: {text}"));
        Self { log_line: Some(format!("{} {id} {text}", timestamp(at))), ..failure }
    }

    fn broken_protocol(id: &InvocationId, text: &str) -> Self {
        let message = format!("RequestId: {id} Error: Runtime broke the invocation protocol: {text}");
        Self::logged(Outcome::Crash, "Runtime.ExitError", &message)
    }

    /// A package without an executable `bootstrap`.
    pub(crate) fn no_bootstrap(id: &InvocationId) -> Self {
        let message =
            format!("RequestId: {id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
        Self::logged(Outcome::Crash, "Runtime.InvalidEntrypoint", &message)
    }

    /// An invocation that took `timeout` at most.
    pub(crate) fn of_invocation(id: &InvocationId, failure: InvokeFailure, timeout: Duration, at: SystemTime) -> Self {
        match failure {
            InvokeFailure::Exited(exit) => Self::exited(id, exit),
            InvokeFailure::Timeout => Self::timed_out(id, timeout, at),
            InvokeFailure::ResponseTooLarge(_) => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({} bytes).",
                    limits::SYNC_RESPONSE_BYTES_MAX
                );
                Self::new(Outcome::FunctionError, "Function.ResponseSizeTooLarge", &message)
            }
            InvokeFailure::Protocol(text) => Self::broken_protocol(id, &text),
        }
    }

    /// An initialisation that had `limit`, for the call that waited for it.
    pub(crate) fn of_initialisation(id: &InvocationId, failure: InitFailure, limit: Duration, at: SystemTime) -> Self {
        match failure {
            InitFailure::Reported(document) => Self::reported(document),
            InitFailure::Exited(exit) => Self::exited(id, exit),
            InitFailure::Timeout => Self::timed_out(id, limit, at),
            InitFailure::Protocol(text) => Self::broken_protocol(id, &text),
        }
    }
}

/// AWS's log line for an initialisation that failed, call or no call.
pub(crate) fn init_report_line(failure: &InitFailure, init: Duration) -> String {
    let milliseconds = init.as_secs_f64() * 1_000.0;
    let status = match failure {
        InitFailure::Timeout => "timeout".to_owned(),
        InitFailure::Reported(document) => format!("error\tError Type: {}", error_type_of(document)),
        InitFailure::Exited(ProcessExit::OutOfMemory) => "error\tError Type: Runtime.OutOfMemory".to_owned(),
        InitFailure::Exited(ProcessExit::Code(_) | ProcessExit::Signal(_) | ProcessExit::Lost)
        | InitFailure::Protocol(_) => "error\tError Type: Runtime.ExitError".to_owned(),
    };
    format!("INIT_REPORT Init Duration: {milliseconds:.2} ms\tPhase: init\tStatus: {status}")
}

/// `errorType` of an error document; AWS says `Runtime.Unknown` of one that has none.
fn error_type_of(document: &Bytes) -> String {
    let parsed = serde_json::from_slice::<Value>(document).ok();
    let named = parsed.as_ref().and_then(|document| document.get("errorType")).and_then(Value::as_str);
    named.unwrap_or("Runtime.Unknown").to_owned()
}

fn exit_text(exit: ProcessExit) -> String {
    match exit {
        ProcessExit::Code(0) | ProcessExit::Lost => "Runtime exited without providing a reason".to_owned(),
        ProcessExit::Code(code) => format!("Runtime exited with error: exit status {code}"),
        ProcessExit::Signal(number) => format!("Runtime exited with error: signal: {}", signal_text(number)),
        ProcessExit::OutOfMemory => "Runtime exited with error: signal: killed".to_owned(),
    }
}

/// Names of signals as AWS's supervisor prints them (those of Go's `syscall.Signal`).
fn signal_text(number: i32) -> String {
    let name = match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// `2026-11-20T08:00:00.000Z`.
fn timestamp(at: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(at).format(format).expect("every component is there and the year has four digits")
}

#[cfg(test)]
mod tests;
