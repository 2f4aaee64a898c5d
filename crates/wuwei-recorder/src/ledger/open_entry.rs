//! An entry whose invocation has ended while its environment still runs: its CPU time is complete when that is frozen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Entry;

/// How long an entry waits for its CPU time: far longer than an environment runs after an answer. CPU time that comes later
/// still counts for the next invocation.
const WAITING_MAX: Duration = Duration::from_millis(300);
/// Set once nothing can be added any more; below it are the microseconds that were added.
const COMPLETE: u64 = 1 << 63;

/// Adds to an entry that has been appended, once.
#[derive(Debug)]
pub(crate) struct OpenEntry(Arc<AtomicU64>);

impl OpenEntry {
    /// Adds CPU time, and completes the entry; false when that is too late.
    pub(crate) fn complete(self, cpu_us: u64) -> bool {
        let state = self.0.compare_exchange(0, COMPLETE | cpu_us, Ordering::AcqRel, Ordering::Acquire);
        state.is_ok()
    }
}

/// An entry on its way to the disk.
#[derive(Debug)]
pub(super) struct Pending {
    entry: Entry,
    /// `None` when the entry was complete from the start.
    late: Option<(Arc<AtomicU64>, Instant)>,
}

impl Pending {
    #[cfg(test)]
    pub(super) fn complete(entry: Entry) -> Self {
        Self { entry, late: None }
    }

    pub(super) fn open(entry: Entry) -> (Self, OpenEntry) {
        let late = Arc::new(AtomicU64::new(0));
        (Self { entry, late: Some((Arc::clone(&late), Instant::now() + WAITING_MAX)) }, OpenEntry(late))
    }

    /// When it can be written, if not at once. An entry that nobody can add to any more is complete.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        let (late, until) = self.late.as_ref()?;
        let is_open = late.load(Ordering::Acquire) & COMPLETE == 0 && Arc::strong_count(late) > 1;
        is_open.then_some(*until)
    }

    /// The entry, to which nothing can be added from here on.
    pub(super) fn close(self) -> Entry {
        let Self { mut entry, late } = self;
        if let Some((late, _)) = late {
            entry.cpu_us += late.fetch_or(COMPLETE, Ordering::AcqRel) & !COMPLETE;
        }
        entry
    }
}
