//! AWS's error documents and log lines for calls that a function did not answer itself.
//!
//! All of these reach the caller as status 200 with `X-Amz-Function-Error: Unhandled`. Texts: what the service answers,
//! seen in AWS's documentation and in public issue threads, 2026-11.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;
use time::OffsetDateTime;
use time::macros::format_description;
use wuwei_model::{InvocationId, Outcome, limits};
use wuwei_sandbox::{InitFailure, InvokeFailure, ProcessExit};

const EXIT_ERROR: &str = "Runtime.ExitError";
const INVALID_ENTRYPOINT: &str = "Runtime.InvalidEntrypoint";

/// How a call without an answer of its handler is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For the report.
    pub(crate) outcome: Outcome,
    /// `Error Type` of the report.
    pub(crate) error_type: Option<String>,
    /// The error document, JSON text.
    pub(crate) document: Bytes,
    /// What the platform writes into the function's log.
    pub(crate) log_line: Option<String>,
}

impl Failure {
    fn new(outcome: Outcome, error_type: &str, message: &str) -> Self {
        let document =
            format!(r#"{{"errorType":{},"errorMessage":{}}}"#, Value::from(error_type), Value::from(message));
        Self { outcome, error_type: Some(error_type.to_owned()), document: document.into(), log_line: None }
    }

    /// With the log lines that AWS writes when a runtime ends: the message, then the type.
    fn logged(outcome: Outcome, error_type: &str, message: &str) -> Self {
        let log_line = Some(format!("{message}\n{error_type}"));
        Self { log_line, ..Self::new(outcome, error_type, message) }
    }

    /// The runtime could not initialise the function, and reported this document itself.
    fn reported(document: Bytes) -> Self {
        let error_type = Some(reported_type(&document));
        Self { outcome: Outcome::FunctionError, error_type, document, log_line: None }
    }

    fn exited(id: &InvocationId, exit: ProcessExit) -> Self {
        let message = format!("RequestId: {id} Error: {}", exit_text(exit));
        let outcome = match exit {
            ProcessExit::OutOfMemory => Outcome::OutOfMemory,
            ProcessExit::NotExecuted(_) | ProcessExit::Code(_) | ProcessExit::Signal(_) | ProcessExit::Lost => {
                Outcome::Crash
            }
        };
        Self::logged(outcome, exit_type(exit), &message)
    }

    fn timed_out(id: &InvocationId, limit: Duration, at: SystemTime) -> Self {
        let text = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
        let failure = Self::new(Outcome::Timeout, "Sandbox.Timedout", &format!("RequestId: {id} Error: {text}"));
        Self { log_line: Some(format!("{} {id} {text}", timestamp(at))), error_type: None, ..failure }
    }

    fn broken_protocol(id: &InvocationId, text: &str) -> Self {
        let message = format!("RequestId: {id} Error: Runtime broke the invocation protocol: {text}");
        Self::logged(Outcome::Crash, EXIT_ERROR, &message)
    }

    /// A package without an executable `bootstrap`.
    fn no_bootstrap(id: &InvocationId) -> Self {
        let message =
            format!("RequestId: {id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
        Self::logged(Outcome::Crash, INVALID_ENTRYPOINT, &message)
    }

    /// An invocation that took `timeout` at most.
    pub(crate) fn of_invocation(id: &InvocationId, failure: InvokeFailure, timeout: Duration, at: SystemTime) -> Self {
        match failure {
            InvokeFailure::Exited(exit) | InvokeFailure::NotTaken(exit, _) => Self::exited(id, exit),
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

    /// An initialisation inside an invocation that took `timeout` at most.
    pub(crate) fn of_setback(id: &InvocationId, setback: Setback, timeout: Duration, at: SystemTime) -> Self {
        match setback {
            Setback::NoBootstrap => Self::no_bootstrap(id),
            Setback::Initialisation(InitFailure::Reported(document)) => Self::reported(document),
            Setback::Initialisation(InitFailure::Exited(exit)) => Self::exited(id, exit),
            Setback::Initialisation(InitFailure::Timeout) => Self::timed_out(id, timeout, at),
            Setback::Initialisation(InitFailure::Protocol(text)) => Self::broken_protocol(id, &text),
        }
    }
}

/// Why a runtime could not be initialised, where the function is to blame.
#[derive(Debug, Error)]
pub(crate) enum Setback {
    /// There is nothing to start.
    #[error("the package has no executable `bootstrap`")]
    NoBootstrap,
    /// It was started, and then failed.
    #[error(transparent)]
    Initialisation(InitFailure),
}

impl Setback {
    /// `Error Type` of the INIT_REPORT line; `None` for a timeout.
    pub(crate) fn error_type(&self) -> Option<String> {
        let known = match self {
            Self::NoBootstrap => INVALID_ENTRYPOINT,
            Self::Initialisation(InitFailure::Timeout) => return None,
            Self::Initialisation(InitFailure::Reported(document)) => return Some(reported_type(document)),
            Self::Initialisation(InitFailure::Exited(exit)) => exit_type(*exit),
            Self::Initialisation(InitFailure::Protocol(_)) => EXIT_ERROR,
        };
        Some(known.to_owned())
    }
}

/// The type that AWS's log names for a reported error: its own for `Runtime.…` and `Function.…`, an unknown one of
/// either kind for the rest (seen in published logs; AWS's runtime interface emulator has the same rule).
fn reported_type(document: &Bytes) -> String {
    let parsed = serde_json::from_slice::<Value>(document).ok();
    let named = parsed.as_ref().and_then(|document| document.get("errorType")).and_then(Value::as_str);
    let (kind, name) = named.and_then(|named| named.split_once('.')).unwrap_or_default();
    let is_word = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.len() > 1
        && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    match kind {
        "Runtime" | "Function" if is_word => format!("{kind}.{name}"),
        "Function" => "Function.Unknown".to_owned(),
        _ => "Runtime.Unknown".to_owned(),
    }
}

fn exit_type(exit: ProcessExit) -> &'static str {
    match exit {
        ProcessExit::OutOfMemory => "Runtime.OutOfMemory",
        ProcessExit::NotExecuted(_) => INVALID_ENTRYPOINT,
        ProcessExit::Code(_) | ProcessExit::Signal(_) | ProcessExit::Lost => EXIT_ERROR,
    }
}

fn exit_text(exit: ProcessExit) -> String {
    match exit {
        ProcessExit::Code(0) | ProcessExit::Lost => "Runtime exited without providing a reason".to_owned(),
        ProcessExit::Code(code) => format!("Runtime exited with error: exit status {code}"),
        ProcessExit::Signal(number) => format!("Runtime exited with error: signal: {}", signal_text(number)),
        ProcessExit::OutOfMemory => "Runtime exited with error: signal: killed".to_owned(),
        ProcessExit::NotExecuted(number) => format!("fork/exec /var/task/bootstrap: {}", errno_text(number)),
    }
}

/// Why a program could not be executed, as AWS's supervisor prints it (the texts of Go's `syscall.Errno`).
fn errno_text(number: i32) -> String {
    let name = match number {
        2 => "no such file or directory",
        7 => "argument list too long",
        8 => "exec format error",
        12 => "cannot allocate memory",
        13 => "permission denied",
        20 => "not a directory",
        40 => "too many levels of symbolic links",
        other => return format!("errno {other}"),
    };
    name.to_owned()
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
