//! The thread that brings records to the disk, and keeps the log small.

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::compaction::Compaction;
use super::job::{Job, JobError};
use super::{Shared, frame_bytes};
use crate::log::{AppendError, Frame, Log, Written, is_full};
use crate::record::{EventId, Record};

/// How long a disk that is full or has failed is left in peace.
const RETRY_MS: u64 = 1_000;
/// What may still be written of an event, at most: two retries, its end, its redrive, its removal.
const END_BYTES: u64 = 320;

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    log: Log,
    compaction: Compaction,
    /// When the disk is tried again.
    retry_at_ms: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, log: Log) -> Self {
        Self { shared, log, compaction: Compaction::default(), retry_at_ms: 0 }
    }

    /// Works until the queue is closed and everything is written.
    pub(super) fn run(mut self) {
        loop {
            let (jobs, is_closed) = self.take();
            self.commit(jobs);
            self.maintain();
            if is_closed {
                return;
            }
        }
    }

    /// Waits for something to do.
    fn take(&self) -> (Vec<Job>, bool) {
        let shared = &*self.shared;
        let is_idle = |pending: &mut super::Pending| {
            pending.jobs.is_empty() && !pending.is_closed && !self.compaction.is_under_way()
        };
        let mut pending = if self.is_troubled() {
            let patience = Duration::from_millis(RETRY_MS);
            let waited = shared.filled.wait_timeout_while(shared.pending(), patience, is_idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            shared.filled.wait_while(shared.pending(), is_idle).unwrap_or_else(PoisonError::into_inner)
        };
        // No more than a part of a segment, so that one batch never needs more than one new segment.
        let mut bytes = 0;
        let most = shared.options.segment_bytes / 4;
        let mut fits = |job: &Job| {
            let fits = bytes < most;
            bytes += job.record.bytes_about();
            fits
        };
        let count = pending.jobs.iter().position(|job| !fits(job)).unwrap_or(pending.jobs.len());
        let rest = pending.jobs.split_off(count);
        let jobs = mem::replace(&mut pending.jobs, rest);
        let is_last = pending.is_closed && pending.jobs.is_empty();
        drop(pending);
        (jobs, is_last)
    }

    fn is_troubled(&self) -> bool {
        self.shared.is_full.load(Ordering::Acquire) || self.shared.has_failed.load(Ordering::Acquire)
    }

    /// Writes jobs and what is to be moved, waits for the disk, and answers.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) {
        if self.shared.has_failed.load(Ordering::Acquire) {
            self.refuse(jobs, JobError::Unwritten);
            return;
        }
        let (events, ends): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| matches!(job.record, Record::Accepted(_)));
        let events = if self.shared.is_full.load(Ordering::Acquire) {
            self.refuse(events, JobError::Full);
            Vec::new()
        } else {
            events
        };
        // What is moved comes first: it says how things stood before this batch.
        let moves = self.compaction.next(&self.log, &self.shared);
        let mut jobs: Vec<Job> = ends.into_iter().chain(events).collect();
        let records = || moves.iter().chain(jobs.iter().map(|job| &job.record));
        let frames: Vec<Frame> = records().map(frame).collect();
        if frames.is_empty() {
            return;
        }
        let (written, error) = self.log.append(&frames);
        let mut machine = self.shared.machine();
        for ((written, frame), record) in written.iter().zip(&frames).zip(records()) {
            machine.apply(written.sequence, written.place, frame_bytes(frame.payload.len()), record);
        }
        // In the same moment as the machine counts them.
        jobs.iter_mut().for_each(|job| drop(job.arrival.take()));
        drop(machine);
        if written.len() < moves.len() {
            self.compaction.abandon();
        }
        self.answer(jobs, written.get(moves.len()..).unwrap_or_default(), error.as_ref());
        self.shared.changed.notify_one();
    }

    fn answer(&mut self, mut jobs: Vec<Job>, written: &[Written], error: Option<&AppendError>) {
        let unwritten = jobs.split_off(written.len());
        for (job, written) in jobs.into_iter().zip(written) {
            job.answer(Ok(EventId(written.sequence)));
        }
        match error {
            Some(AppendError::NoSpace) => {
                self.shared.is_full.store(true, Ordering::Release);
                self.refuse(unwritten, JobError::Full);
            }
            Some(AppendError::Io(error)) => {
                tracing::error!(%error, "the log of events cannot be written: nothing is accepted until it can");
                self.shared.has_failed.store(true, Ordering::Release);
                self.retry_at_ms = 0;
                self.refuse(unwritten, JobError::Unwritten);
            }
            None => {}
        }
    }

    fn refuse(&self, jobs: Vec<Job>, error: JobError) {
        for job in jobs {
            self.shared.unsettle(job.record.settles());
            job.answer(Err(error));
        }
    }

    /// Before the first record.
    pub(super) fn prepare(&mut self) {
        // An empty log takes no space before the first event.
        if !self.log.has_segment() && !self.log.is_empty() {
            self.shared.has_failed.store(true, Ordering::Release);
        }
        self.maintain();
    }

    /// Goes on after a failure where that is possible, removes what is not needed, and sets space aside.
    pub(super) fn maintain(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        let mut is_time = now_ms >= self.retry_at_ms || !self.is_troubled();
        if is_time && self.shared.has_failed.load(Ordering::Acquire) {
            match self.log.begin_segment() {
                Ok(()) => self.shared.has_failed.store(false, Ordering::Release),
                Err(error) => tracing::error!(%error, "the log of events still cannot be written"),
            }
        }
        is_time |= self.remove_finished();
        if is_time && (!self.log.is_empty() || self.is_troubled()) {
            self.set_space_aside();
            self.retry_at_ms = now_ms.saturating_add(RETRY_MS);
        }
        if is_time && !self.shared.has_failed.load(Ordering::Acquire) {
            let machine = self.shared.machine();
            self.compaction.consider(&self.log, &machine, self.shared.is_full.load(Ordering::Acquire));
        }
    }

    /// Whether a segment was removed.
    fn remove_finished(&mut self) -> bool {
        let mut is_removed = false;
        while let Some(oldest) = self.log.oldest() {
            if self.shared.machine().live_bytes_of(oldest) > 0 {
                break;
            }
            match self.log.remove_oldest(oldest) {
                Ok(true) => is_removed = true,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, segment = oldest, "a segment that is not needed cannot be removed");
                    break;
                }
            }
        }
        is_removed
    }

    /// So that whatever fills the disk, the ends of all events that were accepted can be written, and one segment moved.
    fn set_space_aside(&mut self) {
        let ends = self.shared.machine().len() as u64 * END_BYTES;
        let wanted = 2 + usize::try_from(ends / self.shared.options.segment_bytes).unwrap_or(usize::MAX);
        // One more than is needed may stay, so that a backlog that comes and goes makes no files.
        let result = self.log.keep_spares(wanted).and_then(|()| self.log.give_up_spares(wanted + 1));
        let was_full = self.shared.is_full.swap(result.is_err(), Ordering::AcqRel);
        match result {
            Err(error) if is_full(&error) && !was_full => {
                tracing::error!("the disk is full: no events are accepted until there is room");
            }
            Err(error) if !was_full => tracing::error!(%error, "no events are accepted: no space can be set aside"),
            Ok(()) if was_full => tracing::info!("there is room for events again"),
            Err(_) | Ok(()) => {}
        }
    }

    #[cfg(test)]
    pub(super) fn log(&self) -> &Log {
        &self.log
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody may wait for a thread that is gone.
        self.shared.close();
        let jobs = mem::take(&mut self.shared.pending().jobs);
        self.refuse(jobs, JobError::Unwritten);
    }
}

impl Record {
    /// Of its frame; exact where that is large.
    fn bytes_about(&self) -> u64 {
        match self {
            Self::Accepted(accepted) | Self::Moved { accepted, .. } => frame_bytes(accepted.payload_bytes()),
            Self::Retried { .. } | Self::Dead { .. } | Self::Finished { .. } | Self::Redriven { .. } => 64,
        }
    }
}

fn frame(record: &Record) -> Frame {
    let (kind, payload) = record.encode();
    Frame { kind, payload }
}
