//! What becomes of an event after an attempt, and when: AWS's rules, without a clock and without I/O.

use crate::record::Cause;

/// Failures that make an event wait for a retry, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first, 0-2.
    pub retries: u8,
    /// From acceptance; no attempt starts at this age or later.
    pub age_max_ms: u64,
    /// Wait after the first failure and after each further one.
    pub delays_ms: [u64; 2],
    /// First wait of an event that there was no room for; each further one is twice as long.
    pub backoff_first_ms: u64,
    /// Longest such wait.
    pub backoff_max_ms: u64,
}

impl Default for RetryPolicy {
    /// What AWS does where nothing is set.
    fn default() -> Self {
        Self {
            retries: 2,
            age_max_ms: 6 * 60 * 60 * 1_000,
            delays_ms: [60_000, 120_000],
            backoff_first_ms: 1_000,
            backoff_max_ms: 300_000,
        }
    }
}

/// How far an event has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_at_ms: u64,
    /// Attempts that the function has failed.
    pub attempts: u8,
    /// Attempts that there was no room for, or that the platform has failed, since the last that the function has.
    pub backoffs: u8,
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The function has answered.
    Success,
    /// The function has failed: its own error, its end, its time limit.
    FunctionError,
    /// No room: the limits of account and function, or the machine's memory.
    Throttled,
    /// The platform has failed, not the function.
    PlatformError,
    /// The function's reserved concurrency is zero.
    NoConcurrency,
    /// The function is not there any more.
    FunctionDeleted,
}

/// What to do with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Ack,
    /// It waits until then.
    Retry {
        /// In milliseconds since the Unix epoch.
        due_at_ms: u64,
        /// Whether the attempt counts.
        counting: Counting,
    },
    /// It is given up.
    Dead(Cause),
}

/// Whether an attempt counts among those that a function has for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// The function has failed.
    Counted,
    /// It was not the function.
    Free,
}

impl RetryPolicy {
    /// Why an attempt must not start any more.
    #[must_use]
    pub fn refusal(&self, progress: Progress, now_ms: u64) -> Option<Cause> {
        (now_ms >= self.expires_at_ms(progress)).then_some(Cause::EventAgeExceeded)
    }

    /// What to do after an attempt.
    #[must_use]
    pub fn after(&self, progress: Progress, verdict: Verdict, now_ms: u64) -> Next {
        match verdict {
            Verdict::Success => Next::Ack,
            Verdict::FunctionError => match self.delays_ms.get(usize::from(progress.attempts)) {
                Some(delay_ms) if progress.attempts < self.retries => {
                    self.retry(progress, now_ms, *delay_ms, Counting::Counted)
                }
                Some(_) | None => Next::Dead(Cause::RetriesExhausted),
            },
            Verdict::Throttled | Verdict::PlatformError => {
                let doublings = 1_u64.checked_shl(u32::from(progress.backoffs)).unwrap_or(u64::MAX);
                let delay_ms = self.backoff_first_ms.saturating_mul(doublings).min(self.backoff_max_ms);
                self.retry(progress, now_ms, delay_ms, Counting::Free)
            }
            Verdict::NoConcurrency => Next::Dead(Cause::NoConcurrency),
            Verdict::FunctionDeleted => Next::Dead(Cause::FunctionDeleted),
        }
    }

    /// It wakes at the end of its age at the latest, to be given up then.
    fn retry(&self, progress: Progress, now_ms: u64, delay_ms: u64, counting: Counting) -> Next {
        let expires_at_ms = self.expires_at_ms(progress);
        if now_ms >= expires_at_ms {
            return Next::Dead(Cause::EventAgeExceeded);
        }
        Next::Retry { due_at_ms: now_ms.saturating_add(delay_ms).min(expires_at_ms), counting }
    }

    fn expires_at_ms(&self, progress: Progress) -> u64 {
        progress.accepted_at_ms.saturating_add(self.age_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counting, Next, Progress, RetryPolicy, Verdict};
    use crate::record::Cause;

    const START_MS: u64 = 1_000_000;

    fn progress(attempts: u8, backoffs: u8) -> Progress {
        Progress { accepted_at_ms: START_MS, attempts, backoffs }
    }

    fn retry(due_at_ms: u64, counting: Counting) -> Next {
        Next::Retry { due_at_ms, counting }
    }

    #[test]
    fn errors_of_the_function_are_retried_after_one_and_two_minutes_and_no_more() {
        let check = |retries, attempts, expected| {
            let policy = RetryPolicy { retries, ..RetryPolicy::default() };
            assert_eq!(policy.after(progress(attempts, 9), Verdict::FunctionError, START_MS), expected);
        };
        check(2, 0, retry(START_MS + 60_000, Counting::Counted));
        check(2, 1, retry(START_MS + 120_000, Counting::Counted));
        check(2, 2, Next::Dead(Cause::RetriesExhausted));
        check(1, 0, retry(START_MS + 60_000, Counting::Counted));
        check(1, 1, Next::Dead(Cause::RetriesExhausted));
        check(0, 0, Next::Dead(Cause::RetriesExhausted));
        check(9, 200, Next::Dead(Cause::RetriesExhausted));
    }

    #[test]
    fn throttles_back_off_from_one_second_to_five_minutes_and_do_not_count() {
        let policy = RetryPolicy::default();
        for verdict in [Verdict::Throttled, Verdict::PlatformError] {
            for (backoffs, delay_s) in [(0, 1), (1, 2), (5, 32), (8, 256), (9, 300), (63, 300), (64, 300), (255, 300)] {
                let next = policy.after(progress(2, backoffs), verdict, START_MS);
                assert_eq!(next, retry(START_MS + delay_s * 1_000, Counting::Free));
            }
        }
    }

    #[test]
    fn no_attempt_starts_at_the_largest_age_and_a_waiting_event_is_given_up_then() {
        let policy = RetryPolicy { age_max_ms: 60_000, ..RetryPolicy::default() };
        assert_eq!(policy.refusal(progress(0, 0), START_MS + 59_999), None);
        assert_eq!(policy.refusal(progress(0, 0), START_MS + 60_000), Some(Cause::EventAgeExceeded));
        let after = |now_ms| policy.after(progress(0, 0), Verdict::FunctionError, now_ms);
        assert_eq!(after(START_MS), retry(START_MS + 60_000, Counting::Counted));
        assert_eq!(after(START_MS + 59_999), retry(START_MS + 60_000, Counting::Counted));
        assert_eq!(after(START_MS + 60_000), Next::Dead(Cause::EventAgeExceeded));
        let throttled = policy.after(progress(0, 9), Verdict::Throttled, START_MS + 59_000);
        assert_eq!(throttled, retry(START_MS + 60_000, Counting::Free));
        // A clock that was set back makes nothing older.
        assert_eq!(policy.refusal(progress(0, 0), 0), None);
    }

    #[test]
    fn retries_that_were_lowered_meanwhile_hold_after_the_one_that_is_waited_for() {
        let policy = RetryPolicy { retries: 0, ..RetryPolicy::default() };
        assert_eq!(policy.refusal(progress(1, 0), START_MS), None);
        let next = policy.after(progress(1, 0), Verdict::FunctionError, START_MS);
        assert_eq!(next, Next::Dead(Cause::RetriesExhausted));
    }

    #[test]
    fn zero_reserved_concurrency_and_a_deleted_function_end_it_at_once() {
        let after = |verdict| RetryPolicy::default().after(progress(0, 0), verdict, START_MS);
        assert_eq!(after(Verdict::NoConcurrency), Next::Dead(Cause::NoConcurrency));
        assert_eq!(after(Verdict::FunctionDeleted), Next::Dead(Cause::FunctionDeleted));
        assert_eq!(after(Verdict::Success), Next::Ack);
    }
}
