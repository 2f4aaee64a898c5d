//! One invocation on one instance: START, the event, END and REPORT, and the answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;
use wuwei_model::{ColdStart, FunctionErrorKind, FunctionVersion, InitPhase, InvocationId, InvocationReport, Outcome};
use wuwei_sandbox::{Invocation, InvokeFailure, Reply, Usage};

use crate::call::{Answer, Call, InvokeError};
use crate::collaborators::{InstanceLog, LogSink};
use crate::engine::Shared;
use crate::live::Live;
use crate::outcome::Failure;
use crate::starting::{Hindrance, OVERRUN, note_setback, restart};

/// How an invocation ended, and what becomes of its environment.
pub(crate) struct Execution {
    pub(crate) result: Result<Answer, InvokeError>,
    pub(crate) aftermath: Aftermath,
}

/// What becomes of an environment after an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aftermath {
    /// It serves the next call as it is.
    Keep,
    /// It serves the next call with a new runtime: this one crashed or ran out of time.
    Reset,
    /// It serves no more.
    Discard,
}

/// Runs one call in an environment. `init` is set when the environment was started for this call.
///
/// One without a runtime gets one first, as part of the invocation: its time counts to the duration and to the
/// function's timeout. Memory and CPU of an initialisation count for the call that waited for it.
pub(crate) async fn execute(
    shared: &Shared,
    live: &mut Live,
    function: &FunctionVersion,
    call: Call,
    init: Option<Duration>,
) -> Execution {
    let mut killed = shared.killed.subscribe();
    let limit = Duration::from_secs(u64::from(function.settings.timeout_s));
    let is_warm = live.has_runtime() && init.is_none();
    if is_warm {
        live.complete_last();
        live.reset_peak_memory();
    }
    // What is left of an earlier runtime goes before the clock starts.
    live.until_ended().await;
    let (id, began_at, began) = (call.id.clone(), SystemTime::now(), Instant::now());
    let bill = Bill { function, init, id: &id, limit };
    if !live.has_runtime()
        && let Err(hindrance) = restart(shared, live, function, began, &mut killed).await
    {
        return bill.hindered(live, hindrance, began, false);
    }
    live.log.start(SystemTime::now(), &id);
    let mut invocation = invocation_of(call, began_at, limit, limit.saturating_sub(began.elapsed()));
    let mut may_retry = true;
    let mut handed_over = Instant::now();
    let result = loop {
        match run(live, invocation, &mut killed).await {
            // It was on its way out, which could not be seen while it was frozen. As on AWS, the event goes to a new one.
            Some(Err(InvokeFailure::NotTaken(_, event))) if may_retry => {
                may_retry = false;
                shared.end_runtime(live);
                live.until_ended().await;
                if let Err(hindrance) = restart(shared, live, function, began, &mut killed).await {
                    return bill.hindered(live, hindrance, began, true);
                }
                handed_over = Instant::now();
                invocation = Invocation { timeout: limit.saturating_sub(began.elapsed()), ..*event };
            }
            result => break result,
        }
    };
    let elapsed = began.elapsed();
    let handler = handed_over.elapsed();
    let cold_start = live.cold_start.take().map(|cold_start| ColdStart { handler, ..cold_start });
    let is_kept = matches!(result, Some(Ok(_)));
    let usage = if is_kept { live.take_usage_so_far() } else { live.take_usage() };
    let log = live.log.as_mut();
    let Some(result) = result else {
        log.platform_line(SystemTime::now(), &format!("RequestId: {id} Error: Server is shutting down"));
        log.end(SystemTime::now(), &bill.report(&Settled::cut_short(), elapsed, usage));
        return Execution::cut_short();
    };
    let (settled, duration, aftermath) = match result {
        Ok(Reply::Success(payload)) => (Settled::Success(payload), elapsed, Aftermath::Keep),
        Ok(Reply::Streamed { error: None }) => (Settled::Success(Bytes::new()), elapsed, Aftermath::Keep),
        Ok(Reply::Streamed { error: Some(document) } | Reply::Error(document)) => {
            (Settled::of_handler(document), elapsed, Aftermath::Keep)
        }
        Err(failure) => {
            // A call that timed out is shown and billed with its limit, as AWS does.
            let duration = if matches!(failure, InvokeFailure::Timeout) { limit } else { elapsed };
            let failure = Failure::of_invocation(&id, failure, limit, SystemTime::now());
            (Settled::logged(failure, log), duration, Aftermath::Reset)
        }
    };
    if let Some(cold_start) = &cold_start {
        log.cold_start(SystemTime::now(), &id, cold_start);
    }
    let report = bill.report(&settled, duration, usage);
    let answer = Answer { cold_start, ..settled.answer(report, log) };
    Execution { result: Ok(answer), aftermath }
}

/// Hands an event over; `None` when the engine shuts down meanwhile.
async fn run(
    live: &mut Live,
    invocation: Invocation,
    killed: &mut watch::Receiver<bool>,
) -> Option<Result<Reply, InvokeFailure>> {
    let (instance, log) = live.parts()?;
    let mut sink = LogSink(log);
    tokio::select! {
        biased;
        result = timeout(invocation.timeout + OVERRUN, instance.invoke(invocation, &mut sink)) => {
            Some(result.unwrap_or(Err(InvokeFailure::Timeout)))
        }
        _ = killed.wait_for(|killed| *killed) => None,
    }
}

impl Execution {
    /// The engine shuts down.
    fn cut_short() -> Self {
        Self { result: Err(InvokeError::ShuttingDown), aftermath: Aftermath::Discard }
    }
}

/// What a call is answered with.
enum Settled {
    Success(Bytes),
    /// Outcome, `Error Type` of the report, error document.
    Failure(Outcome, Option<String>, Bytes),
}

impl Settled {
    fn logged(failure: Failure, log: &mut dyn InstanceLog) -> Self {
        if let Some(line) = &failure.log_line {
            log.platform_line(SystemTime::now(), line);
        }
        Self::Failure(failure.outcome, failure.error_type, failure.document)
    }

    /// The handler reported an error: to AWS, an invocation that ended as it should.
    fn of_handler(document: Bytes) -> Self {
        Self::Failure(Outcome::FunctionError, None, document)
    }

    /// The engine ended it; nobody gets the document.
    fn cut_short() -> Self {
        Self::Failure(Outcome::Crash, Some("Runtime.ExitError".to_owned()), Bytes::new())
    }

    /// Ends the invocation's log and makes the answer.
    fn answer(self, report: InvocationReport, log: &mut dyn InstanceLog) -> Answer {
        log.end(SystemTime::now(), &report);
        let (payload, function_error) = match self {
            Self::Success(payload) => (payload, None),
            Self::Failure(_, _, document) => (document, Some(FunctionErrorKind::Unhandled)),
        };
        Answer { payload, function_error, report, log_tail: log.tail(), cold_start: None }
    }
}

/// What every report of a call has.
struct Bill<'call> {
    function: &'call FunctionVersion,
    init: Option<Duration>,
    id: &'call InvocationId,
    limit: Duration,
}

impl Bill<'_> {
    /// There is no runtime for the call, which began at `began`.
    fn hindered(&self, live: &mut Live, hindrance: Hindrance, began: Instant, is_started: bool) -> Execution {
        match hindrance {
            Hindrance::Function(setback) => {
                let elapsed = began.elapsed().min(self.limit);
                note_setback(live, &setback, InitPhase::Invoke, elapsed);
                if !is_started {
                    live.log.start(SystemTime::now(), self.id);
                }
                let failure = Failure::of_setback(self.id, setback, self.limit, SystemTime::now());
                let settled = Settled::logged(failure, live.log.as_mut());
                let report = self.report(&settled, elapsed, live.take_usage());
                let result = Ok(settled.answer(report, live.log.as_mut()));
                Execution { result, aftermath: Aftermath::Reset }
            }
            Hindrance::Platform(error) => {
                Execution { result: Err(InvokeError::Launch(error)), aftermath: Aftermath::Discard }
            }
            Hindrance::Shutdown => Execution::cut_short(),
        }
    }

    fn report(&self, settled: &Settled, duration: Duration, usage: Usage) -> InvocationReport {
        let (outcome, error_type) = match settled {
            Settled::Success(_) => (Outcome::Success, None),
            Settled::Failure(outcome, error_type, _) => (*outcome, error_type.clone()),
        };
        let (duration, init) = (InvocationReport::as_shown(duration), self.init.map(InvocationReport::as_shown));
        InvocationReport {
            id: self.id.clone(),
            outcome,
            error_type,
            duration,
            init,
            billed_ms: InvocationReport::billed_ms_of(duration, init),
            memory_mb: self.function.settings.memory_mb,
            peak_memory_bytes: usage.peak_memory_bytes,
            cpu_us: usage.cpu_us,
        }
    }
}

/// `limit` is from the beginning of the invocation, `left` what remains of it.
fn invocation_of(call: Call, began_at: SystemTime, limit: Duration, left: Duration) -> Invocation {
    Invocation {
        id: call.id,
        payload: call.payload,
        deadline: began_at + limit,
        timeout: left,
        invoked_function_arn: call.invoked_function_arn,
        trace_id: call.trace_id.unwrap_or_else(|| new_trace_id(began_at)),
        client_context: call.client_context,
        cognito_identity: None,
        tenant_id: call.tenant_id,
        stream: call.stream,
    }
}

/// A trace header of the form that AWS makes for a call that came without one, not sampled.
fn new_trace_id(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (trace, parent) = (Uuid::new_v4().as_u128() >> 32, Uuid::new_v4().as_u64_pair().0);
    format!("Root=1-{seconds:08x}-{trace:024x};Parent={parent:016x};Sampled=0")
}

#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod tests;
