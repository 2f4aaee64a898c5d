//! Sums of the ledger.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use time::Date;
use wuwei_model::{Architecture, FunctionKey, Outcome, limits};

use super::entry::Entry;
use super::segment;

/// What attempts used together; exact sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Attempts, with whatever outcome.
    pub requests: u64,
    /// Of these, the ones that did not end in success.
    pub errors: u64,
    /// Of these, the ones that paid for an initialisation.
    pub cold_starts: u64,
    /// Durations without initialisations, in microseconds.
    pub duration_us: u128,
    /// Initialisations, in microseconds.
    pub init_us: u128,
    /// CPU time really used, in microseconds.
    pub cpu_us: u128,
    /// Billed milliseconds.
    pub billed_ms: u128,
    /// Billed milliseconds times configured memory, in MB·ms, on `x86_64`.
    pub x86_mb_ms: u128,
    /// The same on `arm64`.
    pub arm_mb_ms: u128,
    /// Billed milliseconds times what `/tmp` has above its free size, in MB·ms.
    pub storage_mb_ms: u128,
    /// Highest memory use of one attempt, in bytes.
    pub peak_bytes: u64,
}

impl Usage {
    /// Adds what others used.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.cold_starts += other.cold_starts;
        self.duration_us += other.duration_us;
        self.init_us += other.init_us;
        self.cpu_us += other.cpu_us;
        self.billed_ms += other.billed_ms;
        self.x86_mb_ms += other.x86_mb_ms;
        self.arm_mb_ms += other.arm_mb_ms;
        self.storage_mb_ms += other.storage_mb_ms;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }

    /// Billed memory-time of both architectures, in MB·ms.
    #[must_use]
    pub fn mb_ms(&self) -> u128 {
        self.x86_mb_ms + self.arm_mb_ms
    }

    fn of(entry: &Entry) -> Self {
        let billed_ms = u128::from(entry.billed_ms);
        let mb_ms = billed_ms * u128::from(entry.memory_mb);
        let (x86_mb_ms, arm_mb_ms) = match entry.architecture {
            Architecture::X86_64 => (mb_ms, 0),
            Architecture::Arm64 => (0, mb_ms),
        };
        Self {
            requests: 1,
            errors: u64::from(entry.outcome != Outcome::Success),
            cold_starts: u64::from(entry.init_us.is_some()),
            duration_us: entry.duration_us.into(),
            init_us: entry.init_us.unwrap_or(0).into(),
            cpu_us: entry.cpu_us.into(),
            billed_ms,
            x86_mb_ms,
            arm_mb_ms,
            storage_mb_ms: billed_ms * u128::from(entry.ephemeral_mb.saturating_sub(limits::EPHEMERAL_MB_MIN)),
            peak_bytes: entry.peak_bytes,
        }
    }
}

/// What one function used on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Which function; it may have been deleted since.
    pub function: FunctionKey,
    /// Which day, in UTC.
    pub day: Date,
    /// How much.
    pub usage: Usage,
}

/// Sums by day and function, days in order. Blocks.
pub(super) fn sum(directory: &Path, first: Date, last: Date) -> io::Result<Vec<UsageRow>> {
    let mut sums: BTreeMap<(Date, Arc<FunctionKey>), Usage> = BTreeMap::new();
    for (day, _, path) in segment::list(directory)? {
        if (first..=last).contains(&day) {
            segment::read(&path, |entry| {
                let used = Usage::of(&entry);
                sums.entry((day, entry.function)).or_default().add(&used);
            })?;
        }
    }
    let rows = sums.into_iter();
    Ok(rows.map(|((day, function), usage)| UsageRow { function: (*function).clone(), day, usage }).collect())
}
