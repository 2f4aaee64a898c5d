//! The ledger: one entry for each attempt of an invocation, append-only, on the disk within a second.
//!
//! A thread of its own collects entries for a moment, appends them to the segment of their day, and waits for the
//! disk. Each server that starts begins a new segment, so that what a crash has torn is always a segment's end, and
//! nothing is ever written behind it.

mod entry;
mod open_entry;
mod segment;
mod usage;
mod writer;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use time::Date;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

pub(crate) use entry::Entry;
pub(crate) use open_entry::OpenEntry;
use open_entry::Pending;
pub use usage::{Usage, UsageRow};
use writer::Writer;

/// Entries that may wait for the disk. Whoever has one more waits: the ledger is worth nothing with holes in it.
const PENDING_MAX: usize = 65_536;

/// The handle. Dropping it writes what waits and joins the thread.
#[derive(Debug)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    directory: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// Between those who append and the thread.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something to do, or closed: an entry is only told of when the thread waits for one.
    filled: Condvar,
    /// Room again.
    emptied: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<Pending>,
    barriers: Vec<oneshot::Sender<io::Result<()>>>,
    is_closed: bool,
    /// The thread waits for anything at all.
    is_idle: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Makes the directory (0700) if need be and starts the thread.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(directory.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, directory: directory.to_owned(), thread: Some(thread) })
    }

    /// Enters an attempt whose CPU time is complete. Waits only while [`PENDING_MAX`] entries wait for the disk.
    #[cfg(test)]
    pub(crate) fn append(&self, entry: Entry) {
        self.enter(Pending::complete(entry));
    }

    /// Enters an attempt to whose CPU time something may be added, shortly. Waits as [`Ledger::append`] does.
    pub(crate) fn append_open(&self, entry: Entry) -> OpenEntry {
        let (pending, open) = Pending::open(entry);
        self.enter(pending);
        open
    }

    fn enter(&self, pending: Pending) {
        let is_full = |state: &mut State| state.pending.len() >= PENDING_MAX && !state.is_closed;
        let waited = self.shared.emptied.wait_while(self.shared.lock(), is_full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.pending.push(pending);
        let must_wake = std::mem::take(&mut state.is_idle) || state.pending.len() == PENDING_MAX / 2;
        drop(state);
        if must_wake {
            self.shared.filled.notify_one();
        }
    }

    /// Everything entered before is on the disk when this returns.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let (done, is_done) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if !state.is_closed {
                state.barriers.push(done);
            }
        }
        self.shared.filled.notify_one();
        is_done.await.unwrap_or_else(|_closed| Err(io::Error::other("the ledger's thread has stopped")))
    }

    /// Sums by function and day, of whole days in UTC, both included.
    pub(crate) async fn usage(&self, first: Date, last: Date) -> io::Result<Vec<UsageRow>> {
        self.sync().await?;
        let directory = self.directory.clone();
        let summed = spawn_blocking(move || usage::sum(&directory, first, last)).await;
        summed.map_err(io::Error::other).flatten()
    }

    /// Entries that reached the disk since the start.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Entries that did not, because the disk would not take them.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_all();
        self.shared.emptied.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the ledger's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests;
