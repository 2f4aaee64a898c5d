//! What is counted of each function since the server started, for the metrics page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wuwei_model::FunctionKey;

use crate::rate::{Allowance, Rate};

/// Functions that are counted one by one; those that come later are counted together, so that the metrics page has
/// an end. A function that is deleted makes room.
pub const FUNCTIONS_METERED_MAX: usize = 500;

/// What one function did since the server started. Every number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Attempts that ended, with whatever outcome.
    pub invocations: u64,
    /// Of these, the ones that did not end in success.
    pub errors: u64,
    /// Of these, the ones whose report names an initialisation.
    pub cold_starts: u64,
    /// Calls that were refused with 429.
    pub throttles: u64,
    /// Durations of the attempts together, in microseconds, without initialisations.
    pub duration_us: u64,
    /// CPU time that the attempts used, in microseconds.
    pub cpu_us: u64,
    /// Billed milliseconds of the attempts together.
    pub billed_ms: u64,
    /// Log lines that were lost because they came too fast.
    pub lost_log_lines: u64,
}

/// The growing numbers of [`FunctionCounts`].
#[derive(Debug, Default)]
struct Counters {
    invocations: AtomicU64,
    errors: AtomicU64,
    cold_starts: AtomicU64,
    throttles: AtomicU64,
    duration_us: AtomicU64,
    cpu_us: AtomicU64,
    billed_ms: AtomicU64,
    lost_log_lines: AtomicU64,
}

impl Counters {
    fn read(&self) -> FunctionCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FunctionCounts {
            invocations: get(&self.invocations),
            errors: get(&self.errors),
            cold_starts: get(&self.cold_starts),
            throttles: get(&self.throttles),
            duration_us: get(&self.duration_us),
            cpu_us: get(&self.cpu_us),
            billed_ms: get(&self.billed_ms),
            lost_log_lines: get(&self.lost_log_lines),
        }
    }
}

/// One function's numbers, and what it may still write into its log now.
#[derive(Debug)]
pub(crate) struct FunctionMeter {
    counters: Arc<Counters>,
    allowance: Mutex<Allowance>,
    lost_log_lines: Arc<AtomicU64>,
}

impl FunctionMeter {
    /// An attempt ended; what it used.
    pub(crate) fn attempt(&self, used: FunctionCounts) {
        let add = |counter: &AtomicU64, amount| counter.fetch_add(amount, Ordering::Relaxed);
        add(&self.counters.invocations, used.invocations);
        add(&self.counters.errors, used.errors);
        add(&self.counters.cold_starts, used.cold_starts);
        add(&self.counters.duration_us, used.duration_us);
        add(&self.counters.cpu_us, used.cpu_us);
        add(&self.counters.billed_ms, used.billed_ms);
    }

    /// CPU time that became known after its attempt had ended.
    pub(crate) fn late_cpu(&self, cpu_us: u64) {
        self.counters.cpu_us.fetch_add(cpu_us, Ordering::Relaxed);
    }

    /// A call was refused with 429.
    pub(crate) fn throttled(&self) {
        self.counters.throttles.fetch_add(1, Ordering::Relaxed);
    }

    /// A log line was lost.
    pub(crate) fn log_line_lost(&self) {
        self.counters.lost_log_lines.fetch_add(1, Ordering::Relaxed);
        self.lost_log_lines.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the function may write so much now; uses it up.
    pub(crate) fn may_write(&self, bytes: usize, now: Instant) -> bool {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now)
    }
}

/// The meters of all functions.
#[derive(Debug)]
pub(crate) struct Meters {
    rate: Rate,
    functions: Mutex<BTreeMap<FunctionKey, (Arc<FunctionMeter>, bool)>>,
    /// Of all functions beyond the first [`FUNCTIONS_METERED_MAX`].
    others: Arc<Counters>,
    lost_log_lines: Arc<AtomicU64>,
}

impl Meters {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, functions: Mutex::default(), others: Arc::default(), lost_log_lines: Arc::default() }
    }

    /// The meter of a function.
    pub(crate) fn of(&self, function: &FunctionKey) -> Arc<FunctionMeter> {
        let mut functions = self.lock();
        if let Some((meter, _)) = functions.get(function) {
            return Arc::clone(meter);
        }
        let is_own = functions.values().filter(|(_, is_own)| *is_own).count() < FUNCTIONS_METERED_MAX;
        let meter = Arc::new(FunctionMeter {
            counters: if is_own { Arc::default() } else { Arc::clone(&self.others) },
            allowance: Mutex::new(Allowance::full(self.rate, Instant::now())),
            lost_log_lines: Arc::clone(&self.lost_log_lines),
        });
        functions.insert(function.clone(), (Arc::clone(&meter), is_own));
        meter
    }

    /// A function is deleted: its numbers go with it.
    pub(crate) fn forget(&self, function: &FunctionKey) {
        self.lock().remove(function);
    }

    /// Numbers of the functions that are counted one by one, in order, and of all others together.
    pub(crate) fn read(&self) -> (Vec<(FunctionKey, FunctionCounts)>, FunctionCounts) {
        let functions = self.lock();
        let own = functions.iter().filter(|(_, (_, is_own))| *is_own);
        let own = own.map(|(key, (meter, _))| (key.clone(), meter.counters.read())).collect();
        (own, self.others.read())
    }

    /// Log lines of all functions that were lost.
    pub(crate) fn lost_log_lines(&self) -> u64 {
        self.lost_log_lines.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FunctionKey, (Arc<FunctionMeter>, bool)>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS_METERED_MAX, FunctionCounts, Meters};
    use crate::rate::Rate;
    use wuwei_model::FunctionKey;

    fn key(name: &str) -> FunctionKey {
        FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn numbers_of_one_function_add_up_and_go_when_it_is_deleted() {
        let meters = Meters::new(Rate::default());
        let used = FunctionCounts { invocations: 1, errors: 1, duration_us: 20, ..FunctionCounts::default() };
        for _ in 0..2 {
            meters.of(&key("f")).attempt(used);
            meters.of(&key("f")).throttled();
        }
        let (own, others) = meters.read();
        let expected =
            FunctionCounts { invocations: 2, errors: 2, duration_us: 40, throttles: 2, ..FunctionCounts::default() };
        assert_eq!(own, [(key("f"), expected)]);
        assert_eq!(others, FunctionCounts::default());
        meters.forget(&key("f"));
        assert_eq!(meters.read().0, []);
    }

    #[test]
    fn functions_beyond_the_limit_are_counted_together() {
        let meters = Meters::new(Rate::default());
        for number in 0..FUNCTIONS_METERED_MAX + 2 {
            meters.of(&key(&format!("f{number}"))).throttled();
        }
        let (own, others) = meters.read();
        assert_eq!((own.len(), others.throttles), (FUNCTIONS_METERED_MAX, 2));
        meters.forget(&key("f0"));
        meters.of(&key("late")).throttled();
        let (own, others) = meters.read();
        assert_eq!((own.len(), others.throttles), (FUNCTIONS_METERED_MAX, 2));
    }
}
