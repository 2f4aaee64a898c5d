//! The time, which tests can hold.

use std::fmt::Debug;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Says what time it is.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since the Unix epoch; never less than before.
    fn now_ms(&self) -> u64;
}

/// The system's time at the start, and from then on what has passed: a clock that is set ends no lease.
#[derive(Debug)]
pub struct SystemClock {
    started_at_ms: u64,
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at_ms: milliseconds(since_epoch), started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        self.started_at_ms.saturating_add(milliseconds(self.started.elapsed()))
    }
}

/// As far as they fit.
pub(crate) fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Stands still until a test moves it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct HeldClock(std::sync::atomic::AtomicU64);

#[cfg(test)]
impl HeldClock {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(now_ms))
    }

    pub(crate) fn advance(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for HeldClock {
    fn now_ms(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
