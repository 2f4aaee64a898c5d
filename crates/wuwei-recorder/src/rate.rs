//! How fast one function may write its log.

use std::time::Instant;

/// Bytes that a function may write into its log; each line counts with its record's overhead, as in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// For any length of time.
    pub(crate) bytes_per_second: u64,
    /// At once, after a while of silence.
    pub(crate) burst_bytes: u64,
}

impl Default for Rate {
    /// Far above what one stream of CloudWatch Logs takes (5 MB/s), and far below what a disk takes from all together.
    fn default() -> Self {
        Self { bytes_per_second: 8 * 1024 * 1024, burst_bytes: 32 * 1024 * 1024 }
    }
}

/// What a function may still write now.
#[derive(Debug)]
pub(crate) struct Allowance {
    rate: Rate,
    left_bytes: u64,
    counted: Instant,
    /// Refused a line, and has not yet come to [`Allowance::resume_bytes`] again.
    is_exhausted: bool,
}

impl Allowance {
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left_bytes: rate.burst_bytes, counted: now, is_exhausted: false }
    }

    /// What must be there before a function that was refused may write again: so that its log has a few gaps, each told
    /// once, and not one after every line.
    fn resume_bytes(&self) -> u64 {
        self.rate.burst_bytes / 32
    }

    /// Uses up so much; false, and nothing used, when there is not enough.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.counted);
        let earned = elapsed.as_micros().saturating_mul(u128::from(self.rate.bytes_per_second)) / 1_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            self.left_bytes = self.left_bytes.saturating_add(earned).min(self.rate.burst_bytes);
            self.counted = now;
        }
        if self.is_exhausted && self.left_bytes < self.resume_bytes() {
            return false;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = self.left_bytes.checked_sub(bytes);
        self.left_bytes = left.unwrap_or(self.left_bytes);
        self.is_exhausted = left.is_none();
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Rate};
    use std::time::{Duration, Instant};

    #[test]
    fn a_burst_is_allowed_once_and_then_only_the_rate() {
        let begin = Instant::now();
        let mut allowance = Allowance::full(Rate { bytes_per_second: 1_000, burst_bytes: 5_000 }, begin);
        assert!(allowance.take(4_999, begin));
        assert!(!allowance.take(2, begin));
        assert!(!allowance.take(1, begin), "it waits until there is a good deal again");
        let soon = begin + Duration::from_millis(150);
        assert!(!allowance.take(1, soon));
        assert!(allowance.take(157, begin + Duration::from_millis(156)));
        let later = begin + Duration::from_millis(1_156);
        assert!(!allowance.take(1_001, later));
        assert!(allowance.take(1_000, later));
        let much_later = begin + Duration::from_secs(3_600);
        assert!(!allowance.take(5_001, much_later));
        assert!(allowance.take(5_000, much_later));
        assert!(!allowance.take(1, begin), "time does not run backwards");
    }
}
