use std::fmt;
use std::time::Duration;

/// Request id of an invocation: a UUID in text form, the same on every attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId(String);

impl InvocationId {
    /// Takes the text of a UUID.
    #[must_use]
    pub fn new(uuid: impl Into<String>) -> Self {
        Self(uuid.into())
    }

    /// The text of the UUID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// AWS's `X-Amz-Function-Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionErrorKind {
    /// The function (or its runtime) failed. AWS answers `Unhandled` for every error of today's runtimes.
    Unhandled,
}

impl FunctionErrorKind {
    /// The header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unhandled => "Unhandled",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler returned.
    Success,
    /// The handler or the runtime failed.
    FunctionError,
    /// The time limit passed.
    Timeout,
    /// The memory limit was passed.
    OutOfMemory,
    /// The runtime exited or was killed.
    Crash,
}

/// Where the time of a cold start went. The phases do not overlap, and no one else's time is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// From the call's arrival until its instance was begun: waiting for memory, or for another start.
    pub queue: Duration,
    /// Building the sandbox.
    pub sandbox: Duration,
    /// Starting the language runtime. Nothing for custom runtimes, which are the function's own.
    pub runtime: Duration,
    /// Initialisation of the function itself, as far as the runtime tells; all of it for custom runtimes.
    pub init: Duration,
    /// From handing the event over to the answer.
    pub handler: Duration,
}

impl ColdStart {
    /// The phases with their names, in order.
    #[must_use]
    pub fn phases(&self) -> [(&'static str, Duration); 5] {
        let Self { queue, sandbox, runtime, init, handler } = *self;
        [("queue", queue), ("sandbox", sandbox), ("runtime", runtime), ("init", init), ("handler", handler)]
    }
}

/// What one attempt used: the facts behind the REPORT line and, later, the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationReport {
    /// Request id.
    pub id: InvocationId,
    /// How it ended.
    pub outcome: Outcome,
    /// `Error Type` of the REPORT line, for what was neither a success, nor the handler's own error, nor a timeout.
    pub error_type: Option<String>,
    /// From dispatch to answer, without the init of a cold start. An init that had to be repeated is part of it.
    pub duration: Duration,
    /// Init that ran for this invocation, when it was a cold start whose init succeeded.
    pub init: Option<Duration>,
    /// Duration rounded up to a millisecond (init included: AWS bills it since August 2025).
    pub billed_ms: u64,
    /// Configured memory.
    pub memory_mb: u32,
    /// Highest memory use seen, in bytes.
    pub peak_memory_bytes: u64,
    /// CPU time really used, in microseconds, as far as it is known when the invocation ends: that of an environment that
    /// stays goes into the ledger when it comes to rest.
    pub cpu_us: u64,
}

impl InvocationReport {
    /// To the hundredth of a millisecond, as the REPORT line shows it: what is billed then follows from what is shown.
    #[must_use]
    pub fn as_shown(duration: Duration) -> Duration {
        let hundredths = (duration.as_nanos() + 5_000) / 10_000;
        Duration::from_micros(u64::try_from(hundredths * 10).unwrap_or(u64::MAX))
    }

    /// Billed milliseconds for a duration and the init before it, as AWS rounds: the sum, up to the next millisecond.
    #[must_use]
    pub fn billed_ms_of(duration: Duration, init: Option<Duration>) -> u64 {
        let total = duration + init.unwrap_or_default();
        u64::try_from(total.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// When an init ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitPhase {
    /// Before the first invocation, under its own limit.
    Init,
    /// Inside an invocation, under the function's timeout: after a failed init, a crash or a timeout.
    Invoke,
}

impl InitPhase {
    /// As the INIT_REPORT line has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Invoke => "invoke",
        }
    }
}

/// An init that failed: the facts behind the INIT_REPORT line. (One that succeeds has no such line on AWS.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// When it ran.
    pub phase: InitPhase,
    /// How long.
    pub duration: Duration,
    /// `Error Type`; `None` when the time limit passed.
    pub error_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::InvocationReport;
    use std::time::Duration;

    #[test]
    fn billed_duration_is_the_sum_rounded_up() {
        let check = |duration_us, init_us: Option<u64>, expected| {
            let init = init_us.map(Duration::from_micros);
            assert_eq!(InvocationReport::billed_ms_of(Duration::from_micros(duration_us), init), expected);
        };
        check(0, None, 0);
        check(1, None, 1);
        check(1_000, None, 1);
        check(1_001, None, 2);
        check(1_200, Some(1_900), 4);
    }

    #[test]
    fn what_is_billed_follows_from_what_is_shown() {
        for (nanoseconds, shown_us, billed) in [(419_004_999, 419_000, 419), (419_005_000, 419_010, 420), (1, 0, 0)] {
            let shown = InvocationReport::as_shown(Duration::from_nanos(nanoseconds));
            assert_eq!(shown, Duration::from_micros(shown_us));
            assert_eq!(InvocationReport::billed_ms_of(shown, None), billed);
        }
    }
}
