//! One invocation on one instance: START, the event, END and REPORT, and the answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;
use wuwei_model::{FunctionErrorKind, FunctionVersion, InvocationId, InvocationReport, Outcome};
use wuwei_sandbox::{Invocation, InvokeFailure, LaunchError, Reply, Usage};

use crate::call::{Answer, Call, InvokeError};
use crate::collaborators::{InstanceLog, LogSink};
use crate::lease::Live;
use crate::outcome::Failure;
use crate::starting::{OVERRUN, StartFailure};

/// How an invocation ended, and whether its instance can serve another.
pub(crate) struct Execution {
    pub(crate) result: Result<Answer, InvokeError>,
    pub(crate) reusable: bool,
}

/// Runs one call on an instance. `init` is set when the instance was started for this call.
///
/// Memory and CPU of an initialisation count for the call that waited for it.
pub(crate) async fn execute(
    live: &mut Live,
    function: &FunctionVersion,
    call: Call,
    init: Option<Duration>,
    mut killed: watch::Receiver<bool>,
) -> Execution {
    let Live { instance, log, metered_cpu_us, .. } = live;
    let limit = Duration::from_secs(u64::from(function.settings.timeout_s));
    if init.is_none() {
        instance.reset_peak_memory();
    }
    let (id, began_at) = (call.id.clone(), SystemTime::now());
    log.start(began_at, &id);
    let invocation = invocation_of(call, began_at, limit);
    let began = Instant::now();
    let mut sink = LogSink(log.as_mut());
    let result = tokio::select! {
        biased;
        result = timeout(limit + OVERRUN, instance.invoke(invocation, &mut sink)) => Some(result),
        _ = killed.wait_for(|killed| *killed) => None,
    };
    let elapsed = began.elapsed();
    let usage = instance.usage();
    let cpu_us = usage.cpu_us.saturating_sub(*metered_cpu_us);
    *metered_cpu_us = usage.cpu_us;

    let bill = Bill { function, init, usage: Usage { cpu_us, ..usage } };
    let log = log.as_mut();
    let Some(result) = result else {
        log.platform_line(SystemTime::now(), &format!("RequestId: {id} Error: Server is shutting down"));
        log.end(SystemTime::now(), &bill.report(&id, Outcome::Crash, elapsed));
        return Execution { result: Err(InvokeError::ShuttingDown), reusable: false };
    };
    let (settled, duration, reusable) = match result.unwrap_or(Err(InvokeFailure::Timeout)) {
        Ok(Reply::Success(payload)) => (Settled::Success(payload), elapsed, true),
        Ok(Reply::Streamed { error: None }) => (Settled::Success(Bytes::new()), elapsed, true),
        Ok(Reply::Streamed { error: Some(document) }) => {
            (Settled::Failure(Outcome::FunctionError, document), elapsed, true)
        }
        Ok(Reply::Error(document)) => (Settled::Failure(Outcome::FunctionError, document), elapsed, true),
        Err(failure) => {
            // A call that timed out is shown and billed with its limit, as AWS does.
            let duration = if matches!(failure, InvokeFailure::Timeout) { limit } else { elapsed };
            let failure = Failure::of_invocation(&id, failure, limit, SystemTime::now());
            (Settled::logged(failure, log), duration, false)
        }
    };
    let report = bill.report(&id, settled.outcome(), duration);
    Execution { result: Ok(settled.answer(report, log)), reusable }
}

/// Answers a call whose instance could not be had.
///
/// An initialisation that failed is shown as AWS shows it, which runs it as part of the invocation: its time is the
/// invocation's duration, and the report names no initialisation.
pub(crate) fn settle_failed_start(
    function: &FunctionVersion,
    call: &Call,
    failure: StartFailure,
    init_limit: Duration,
) -> Result<Answer, InvokeError> {
    let (mut log, failure, duration, usage) = match failure {
        StartFailure::Launch(LaunchError::NoBootstrap, log) => {
            (log, Failure::no_bootstrap(&call.id), Duration::ZERO, Usage::default())
        }
        StartFailure::Initialisation(failed) => {
            let failure = Failure::of_initialisation(&call.id, failed.failure, init_limit, SystemTime::now());
            (failed.log, failure, failed.duration, failed.usage)
        }
        StartFailure::Launch(
            error @ (LaunchError::UnknownRuntime { .. } | LaunchError::Sandbox(_) | LaunchError::LauncherGone),
            _,
        ) => return Err(InvokeError::Launch(error)),
        StartFailure::Interrupted => return Err(InvokeError::Internal),
    };
    let log = log.as_mut();
    log.start(SystemTime::now(), &call.id);
    let settled = Settled::logged(failure, log);
    let report = Bill { function, init: None, usage }.report(&call.id, settled.outcome(), duration);
    Ok(settled.answer(report, log))
}

/// What a call is answered with.
enum Settled {
    Success(Bytes),
    Failure(Outcome, Bytes),
}

impl Settled {
    fn logged(failure: Failure, log: &mut dyn InstanceLog) -> Self {
        if let Some(line) = &failure.log_line {
            log.platform_line(SystemTime::now(), line);
        }
        Self::Failure(failure.outcome, failure.document)
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Success(_) => Outcome::Success,
            Self::Failure(outcome, _) => *outcome,
        }
    }

    /// Ends the invocation's log and makes the answer.
    fn answer(self, report: InvocationReport, log: &mut dyn InstanceLog) -> Answer {
        log.end(SystemTime::now(), &report);
        let (payload, function_error) = match self {
            Self::Success(payload) => (payload, None),
            Self::Failure(_, document) => (document, Some(FunctionErrorKind::Unhandled)),
        };
        Answer { payload, function_error, report, log_tail: log.tail() }
    }
}

/// What a report is made of, but for how the invocation ended.
struct Bill<'call> {
    function: &'call FunctionVersion,
    init: Option<Duration>,
    usage: Usage,
}

impl Bill<'_> {
    fn report(&self, id: &InvocationId, outcome: Outcome, duration: Duration) -> InvocationReport {
        InvocationReport {
            id: id.clone(),
            outcome,
            duration,
            init: self.init,
            billed_ms: InvocationReport::billed_ms_of(duration, self.init),
            memory_mb: self.function.settings.memory_mb,
            peak_memory_bytes: self.usage.peak_memory_bytes,
            cpu_us: self.usage.cpu_us,
        }
    }
}

fn invocation_of(call: Call, began_at: SystemTime, limit: Duration) -> Invocation {
    Invocation {
        id: call.id,
        payload: call.payload,
        deadline: began_at + limit,
        timeout: limit,
        invoked_function_arn: call.invoked_function_arn,
        trace_id: call.trace_id.unwrap_or_else(|| new_trace_id(began_at)),
        client_context: call.client_context,
        cognito_identity: None,
        tenant_id: None,
        stream: call.stream,
    }
}

/// A trace header of the form that AWS makes for a call that came without one, not sampled.
fn new_trace_id(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (trace, parent) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().as_u64_pair().0);
    format!("Root=1-{seconds:08x}-{trace:.24};Parent={parent:016x};Sampled=0")
}

#[cfg(test)]
mod tests;
