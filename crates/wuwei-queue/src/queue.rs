//! The queue as its users see it: a trait that one machine and a cluster can both offer.

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::machine::{Counts, DeadLetter, Lease};
use crate::policy::{Counting, Progress};
use crate::record::{Cause, EventId, Lane};

/// An event to be run.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Whom it is for.
    pub lane: Arc<Lane>,
    /// Comes back as it is with each claim.
    pub content: Bytes,
}

/// An event that was given out for an attempt.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Proves the claim.
    pub lease: Lease,
    /// Whom it is for.
    pub lane: Arc<Lane>,
    /// How far it has come.
    pub progress: Progress,
    /// As it was given to [`EventQueue::enqueue`].
    pub content: Bytes,
}

/// Why an event was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnqueueError {
    /// As many events wait as may. It was not stored; later there may be room.
    #[error("too many events wait")]
    Backlog,
    /// The disk has no more room for events. It was not stored; later there may be room.
    #[error("the disk is full")]
    DiskFull,
    /// One event cannot be so large.
    #[error("the event is too large")]
    TooLarge,
    /// The disk has failed, or the queue is shut down. The event may be stored all the same.
    #[error("the queue cannot write")]
    Unwritten,
}

/// Why nothing could be done with an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// The lease has run out or was used: another attempt may have the event by now.
    #[error("the lease is lost")]
    LeaseLost,
    /// No such event was given up.
    #[error("there is no such dead letter")]
    NotFound,
    /// The disk has failed, or the queue is shut down. The lease is still held, and it may be tried again.
    #[error("the queue cannot write")]
    Unwritten,
    /// The disk has failed, which may be over the next time.
    #[error("the queue cannot read")]
    Unread,
}

/// Events that wait durably. Each method is safe to cancel: what it began happens, or does not, as a whole.
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// Stores an event; once this returns it is there whatever happens.
    async fn enqueue(&self, event: NewEvent) -> Result<EventId, EnqueueError>;
    /// Takes the next event of a lane that is due; until the lease ends nobody else gets it.
    async fn claim(&self, lane: &Lane, lease: Duration) -> Result<Option<Claimed>, QueueError>;
    /// Prolongs a lease, from now on.
    async fn extend(&self, lease: Lease, by: Duration) -> Result<(), QueueError>;
    /// The event is done with.
    async fn ack(&self, lease: Lease) -> Result<(), QueueError>;
    /// The event waits until then (milliseconds since the Unix epoch).
    async fn retry_at(&self, lease: Lease, due_at_ms: u64, counting: Counting) -> Result<(), QueueError>;
    /// The event is given up, and kept for someone to look at.
    async fn dead(&self, lease: Lease, cause: Cause) -> Result<(), QueueError>;
    /// Events that were given up after one (exclusive), in the order in which they were accepted.
    async fn dead_letters(&self, after: Option<EventId>, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;
    /// Content of an event that was given up.
    async fn dead_content(&self, id: EventId) -> Result<Bytes, QueueError>;
    /// Has an event that was given up wait again, as if it were new.
    async fn redrive(&self, id: EventId) -> Result<(), QueueError>;
    /// Forgets an event that was given up.
    async fn remove(&self, id: EventId) -> Result<(), QueueError>;
    /// Lanes in which something is due now.
    fn due_lanes(&self) -> Vec<Arc<Lane>>;
    /// When something is due next that is not now, in milliseconds since the Unix epoch.
    fn next_due_ms(&self) -> Option<u64>;
    /// Waits until there may be something due that was not before, for another reason than time.
    async fn changed(&self);
    /// How many events do what.
    fn counts(&self) -> Counts;
}
