use std::sync::atomic::{AtomicU64, Ordering};

use wuwei_sandbox::StockSnapshot;

/// Numbers for the metrics page, as they stood at one moment. The `u64` ones only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineSnapshot {
    /// Instances that wait for a call.
    pub instances_idle: usize,
    /// Instances that run a call.
    pub instances_busy: usize,
    /// Instances that are being started.
    pub instances_starting: usize,
    /// Memory settings of all instances, also of those that are being stopped, in MB.
    pub memory_reserved_mb: u64,
    /// Calls that wait for an instance.
    pub calls_waiting: usize,
    /// Calls that were answered, with whatever outcome.
    pub invocations: u64,
    /// Calls that were served by an instance started for them.
    pub cold_starts: u64,
    /// Calls that were refused with 429.
    pub throttles: u64,
    /// Answered calls that ended in an error of the function.
    pub errors: u64,
    /// Calls that could not be answered: the platform failed or was shutting down.
    pub failures: u64,
    /// Calls during which the engine panicked (also counted as failures).
    pub panics: u64,
    /// Sandboxes that stand ready before anybody asks for them.
    pub stock: StockSnapshot,
}

/// The growing numbers of [`EngineSnapshot`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) invocations: Counter,
    pub(crate) cold_starts: Counter,
    pub(crate) throttles: Counter,
    pub(crate) errors: Counter,
    pub(crate) failures: Counter,
    pub(crate) panics: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
