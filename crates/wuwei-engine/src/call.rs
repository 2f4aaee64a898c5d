use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use wuwei_model::{ColdStart, FunctionErrorKind, InvocationId, InvocationReport};
use wuwei_sandbox::{LaunchError, StreamSink};

/// One synchronous call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Request id.
    pub id: InvocationId,
    /// The event, JSON text as the caller sent it.
    pub payload: Bytes,
    /// ARN as the caller named the function (with the qualifier, when one was given).
    pub invoked_function_arn: String,
    /// Incoming `X-Amzn-Trace-Id`, when there was one.
    pub trace_id: Option<String>,
    /// Decoded `X-Amz-Client-Context` JSON.
    pub client_context: Option<String>,
    /// For whom the call is: an instance serves calls with one and the same only.
    pub tenant_id: Option<String>,
    /// Where parts of the answer go as they come, when the caller wants them so.
    pub stream: Option<StreamSink>,
}

/// What the caller gets.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The handler's result, or AWS's error document when `function_error` is set. Empty after a success whose parts went
    /// to [`Call::stream`].
    pub payload: Bytes,
    /// Set when the function, not the platform, failed.
    pub function_error: Option<FunctionErrorKind>,
    /// What the invocation used.
    pub report: InvocationReport,
    /// Last 4 KB of the invocation's log.
    pub log_tail: Vec<u8>,
    /// Set when a runtime had to be started for the call.
    pub cold_start: Option<ColdStart>,
}

/// Why a call could not run: not the function's fault.
#[derive(Debug, Error)]
pub enum InvokeError {
    /// 429; the text is AWS's `Reason` (for example `ConcurrentInvocationLimitExceeded`). A retry may help.
    #[error("rate exceeded")]
    TooManyRequests(&'static str),
    /// The sandbox could not be built: the platform's fault. A package without `bootstrap` is not among these: AWS
    /// answers that as an error of the function.
    #[error("start instance")]
    Launch(#[source] LaunchError),
    /// The server refuses new calls, or had to end this one.
    #[error("server is shutting down")]
    ShuttingDown,
    /// The engine itself failed: a bug, contained to this call. Its instance was stopped.
    #[error("internal error while running the call")]
    Internal,
}

/// Knobs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How long an idle instance is kept before it is stopped (10 minutes is a good default).
    pub keep_alive: Duration,
    /// Calls of one account in one region that may run or wait at a time.
    pub account_concurrency: u32,
    /// Upper bound of the sum of the memory settings of all instances, in MB.
    pub memory_budget_mb: u64,
    /// Time that an instance has for its initialisation; the function's own timeout does not count then.
    pub init_limit: Duration,
}
