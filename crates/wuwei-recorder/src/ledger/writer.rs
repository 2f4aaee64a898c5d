//! The thread that brings entries to the disk.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::entry::Entry;
use super::open_entry::Pending;
use super::segment::{AppendError, Segment};
use super::{PENDING_MAX, Shared, State};

/// How long entries are collected before they are written together. With the time of the disk itself, an entry is safe
/// well within a second.
const COLLECTING: Duration = Duration::from_millis(200);
/// How often it is looked whether entries that are asked for are complete.
const OPEN_ENTRY_PERIOD: Duration = Duration::from_millis(2);
/// How long a disk that refuses is left in peace.
const RETRY: Duration = Duration::from_secs(1);

/// Takes entries and appends them to the segment of their day.
pub(super) struct Writer {
    directory: PathBuf,
    shared: Arc<Shared>,
    segment: Option<Segment>,
    /// What the disk has refused so far.
    refused: Vec<Entry>,
}

impl Writer {
    pub(super) fn new(directory: PathBuf, shared: Arc<Shared>) -> Self {
        Self { directory, shared, segment: None, refused: Vec::new() }
    }

    /// Works until the ledger is closed and everything is written.
    pub(super) fn run(mut self) {
        loop {
            let (entries, barriers, is_closed) = self.take();
            let mut result = self.write(entries);
            if let Err(error) = &result {
                tracing::error!(%error, waiting = self.refused.len(), "the ledger cannot be written");
            }
            for barrier in barriers {
                let answer = mem::replace(&mut result, Ok(()));
                result = answer.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string())).copied();
                // Whoever has gone away wants no answer.
                drop(barrier.send(answer));
            }
            if is_closed {
                self.lose(self.refused.len());
                return;
            }
        }
    }

    /// Waits for something to do, and a moment longer for more of it.
    fn take(&self) -> (Vec<Entry>, Vec<tokio::sync::oneshot::Sender<io::Result<()>>>, bool) {
        let urgent = |state: &State| state.is_closed || !state.barriers.is_empty();
        let shared = &*self.shared;
        let state = if self.refused.is_empty() {
            let idle = shared.filled.wait_while(shared.lock(), |state| {
                state.is_idle = !urgent(state) && state.pending.is_empty();
                state.is_idle
            });
            idle.unwrap_or_else(PoisonError::into_inner)
        } else {
            let resting = shared.filled.wait_timeout_while(shared.lock(), RETRY, |state| !urgent(state));
            resting.unwrap_or_else(PoisonError::into_inner).0
        };
        let collecting = shared
            .filled
            .wait_timeout_while(state, COLLECTING, |state| !urgent(state) && state.pending.len() < PENDING_MAX / 2);
        let mut state = collecting.unwrap_or_else(PoisonError::into_inner).0;
        if !state.barriers.is_empty() {
            state = self.wait_for_open_entries(state);
        }
        let State { pending, is_closed, .. } = &mut *state;
        let now = Instant::now();
        let waits = |entry: &Pending| !*is_closed && entry.waits_until().is_some_and(|until| until > now);
        let (left, ready): (Vec<_>, Vec<_>) = mem::take(pending).into_iter().partition(waits);
        *pending = left;
        let taken = (ready.into_iter().map(Pending::close).collect(), mem::take(&mut state.barriers), state.is_closed);
        drop(state);
        shared.emptied.notify_all();
        taken
    }

    /// Whoever asks what was used wants to know of the invocations that have just ended, too.
    fn wait_for_open_entries<'shared>(
        &'shared self,
        mut state: MutexGuard<'shared, State>,
    ) -> MutexGuard<'shared, State> {
        let known = state.pending.len();
        loop {
            let waits = state
                .pending
                .iter()
                .take(known)
                .any(|entry| entry.waits_until().is_some_and(|until| until > Instant::now()));
            if state.is_closed || !waits {
                return state;
            }
            // Short, because nobody tells when an entry is complete.
            let waited = self.shared.filled.wait_timeout(state, OPEN_ENTRY_PERIOD);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes what was refused before and what is new, and waits for the disk.
    fn write(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let mut waiting = mem::take(&mut self.refused);
        waiting.extend(entries);
        // Around midnight entries of two days come mixed; the order within a day stays.
        waiting.sort_by_key(Entry::day);
        while let Some(first) = waiting.first() {
            let day = first.day();
            let length = waiting.partition_point(|entry| entry.day() == day);
            match self.write_day(&waiting[..length]) {
                Ok(()) => {
                    self.shared.written.fetch_add(count(length), Ordering::Relaxed);
                    waiting.drain(..length);
                }
                Err(AppendError::Nothing(error)) => {
                    let excess = waiting.len().saturating_sub(PENDING_MAX);
                    waiting.drain(..excess);
                    self.lose(excess);
                    self.refused = waiting;
                    return Err(error);
                }
                Err(AppendError::Unknown(error)) => {
                    // Written again they might be counted twice, and a bill must not be too high.
                    self.segment = None;
                    self.lose(length);
                    self.refused = waiting.split_off(length);
                    return Err(error);
                }
            }
        }
        let synced = self.segment.as_ref().map_or(Ok(()), Segment::sync);
        if synced.is_err() {
            // A file whose sync has failed says nothing true about itself any more.
            self.segment = None;
        }
        synced
    }

    fn write_day(&mut self, entries: &[Entry]) -> Result<(), AppendError> {
        let Some(first) = entries.first() else { return Ok(()) };
        if let Some(segment) = self.segment.as_ref().filter(|segment| segment.day != first.day()) {
            segment.sync().map_err(AppendError::Nothing)?;
            self.segment = None;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => none.insert(Segment::begin(&self.directory, first.day()).map_err(AppendError::Nothing)?),
        };
        segment.append(entries)
    }

    fn lose(&self, entries: usize) {
        if entries > 0 {
            tracing::error!(entries, "entries of the ledger are lost");
            self.shared.lost.fetch_add(count(entries), Ordering::Relaxed);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody may wait for a writer that is gone.
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.barriers.clear();
        drop(state);
        self.shared.emptied.notify_all();
    }
}

fn count(entries: usize) -> u64 {
    u64::try_from(entries).unwrap_or(u64::MAX)
}
