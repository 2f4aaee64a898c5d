//! What waits for the thread.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use crate::record::{EventId, Record};

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: Record,
    answer: oneshot::Sender<Result<EventId, JobError>>,
    /// Given back when the record is on the disk, or will never be.
    pub(super) space: OwnedSemaphorePermit,
    pub(super) arrival: Option<Arrival>,
}

impl Job {
    /// Says what has become of the record, and makes room for others.
    pub(super) fn answer(self, result: Result<EventId, JobError>) {
        let Self { answer, space, .. } = self;
        drop(space);
        if answer.send(result).is_err() {
            tracing::trace!("whoever gave a record has gone away");
        }
    }
}

/// Why a record is not on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobError {
    /// It is certain that it was not written.
    Full,
    /// It may be there or not.
    Unwritten,
}

/// Place of an event that is not counted by the machine yet.
#[derive(Debug)]
pub(super) struct Arrival(pub(super) Arc<Shared>);

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.pending().arriving -= 1;
    }
}

/// Jobs in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) jobs: Vec<Job>,
    /// Events that were let in and are not counted by the machine yet.
    pub(super) arriving: usize,
    pub(super) is_closed: bool,
}

impl Record {
    /// The event whose attempt ends with this record.
    pub(super) fn settles(&self) -> Option<EventId> {
        match self {
            Self::Retried { id, .. } | Self::Dead { id, .. } | Self::Finished { id } | Self::Redriven { id, .. } => {
                Some(*id)
            }
            Self::Accepted(_) | Self::Moved { .. } => None,
        }
    }
}

impl Shared {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a record to the thread; the answer fails when the queue is closed before it is written.
    pub(super) fn submit(
        &self,
        record: Record,
        space: OwnedSemaphorePermit,
        arrival: Option<Arrival>,
    ) -> oneshot::Receiver<Result<EventId, JobError>> {
        let (answer, answered) = oneshot::channel();
        let settles = record.settles();
        let job = Job { record, answer, space, arrival };
        let refused = {
            let mut pending = self.pending();
            if pending.is_closed {
                Some(job)
            } else {
                pending.jobs.push(job);
                None
            }
        };
        match refused {
            Some(job) => {
                drop(job);
                self.unsettle(settles);
            }
            None => self.filled.notify_one(),
        }
        answered
    }

    /// Takes no more jobs from now on.
    pub(super) fn close(&self) {
        self.pending().is_closed = true;
        self.event_space.close();
        self.end_space.close();
        self.filled.notify_all();
    }
}
