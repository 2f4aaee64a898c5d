//! A queue in memory: the second implementation, which shows that the suite asks for nothing that only a log can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::{Claimed, EnqueueError, EventQueue, NewEvent, QueueError};
use crate::clock::{Clock, milliseconds};
use crate::log::Place;
use crate::machine::{Counts, DeadLetter, Lease, LeaseLost, Machine, retry_record};
use crate::policy::Counting;
use crate::record::{Accepted, Cause, EventId, Lane, Record};

#[derive(Debug, Default)]
struct State {
    machine: Machine,
    sequence: u64,
    contents: HashMap<EventId, (Arc<Lane>, Bytes)>,
}

impl State {
    fn write(&mut self, record: &Record) -> EventId {
        self.sequence += 1;
        self.machine.apply(self.sequence, Place { segment: 0, offset: 0 }, 1, record);
        EventId(self.sequence)
    }
}

#[derive(Debug)]
pub(crate) struct MemoryQueue {
    clock: Arc<dyn Clock>,
    events_max: usize,
    state: Mutex<State>,
    changed: Notify,
}

impl MemoryQueue {
    pub(crate) fn new(clock: Arc<dyn Clock>, events_max: usize) -> Self {
        let mut state = State::default();
        state.machine.start();
        Self { clock, events_max, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn end(&self, lease: Lease, record: impl FnOnce(crate::policy::Progress) -> Record) -> Result<(), QueueError> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let progress = state.machine.settle(lease, now_ms).map_err(|LeaseLost| QueueError::LeaseLost)?;
        state.write(&record(progress));
        self.changed.notify_one();
        Ok(())
    }
}

#[async_trait]
impl EventQueue for MemoryQueue {
    async fn enqueue(&self, event: NewEvent) -> Result<EventId, EnqueueError> {
        let NewEvent { lane, content } = event;
        let mut state = self.state();
        if state.machine.len() >= self.events_max {
            return Err(EnqueueError::Backlog);
        }
        let accepted = Accepted { lane: Arc::clone(&lane), accepted_at_ms: self.clock.now_ms(), content: Bytes::new() };
        let id = state.write(&Record::Accepted(accepted));
        state.contents.insert(id, (lane, content));
        self.changed.notify_one();
        Ok(id)
    }

    async fn claim(&self, lane: &Lane, lease: Duration) -> Result<Option<Claimed>, QueueError> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let Some(claim) = state.machine.claim(lane, now_ms, now_ms + milliseconds(lease)) else { return Ok(None) };
        let (lane, content) = state.contents[&claim.lease.id].clone();
        Ok(Some(Claimed { lease: claim.lease, lane, progress: claim.progress, content }))
    }

    async fn extend(&self, lease: Lease, by: Duration) -> Result<(), QueueError> {
        let now_ms = self.clock.now_ms();
        let extended = self.state().machine.extend(lease, now_ms, now_ms + milliseconds(by));
        extended.map_err(|LeaseLost| QueueError::LeaseLost)
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.end(lease, |_| Record::Finished { id: lease.id })?;
        self.state().contents.remove(&lease.id);
        Ok(())
    }

    async fn retry_at(&self, lease: Lease, due_at_ms: u64, counting: Counting) -> Result<(), QueueError> {
        match counting {
            Counting::Counted => self.end(lease, |progress| retry_record(lease.id, progress, due_at_ms)),
            Counting::Free => {
                let given_back = self.state().machine.give_back(lease, self.clock.now_ms(), due_at_ms);
                self.changed.notify_one();
                given_back.map_err(|LeaseLost| QueueError::LeaseLost)
            }
        }
    }

    async fn dead(&self, lease: Lease, cause: Cause) -> Result<(), QueueError> {
        let at_ms = self.clock.now_ms();
        self.end(lease, |_| Record::Dead { id: lease.id, cause, at_ms })
    }

    async fn dead_letters(&self, after: Option<EventId>, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.state().machine.dead_letters(after, limit))
    }

    async fn dead_content(&self, id: EventId) -> Result<Bytes, QueueError> {
        let state = self.state();
        state.machine.dead_letter(id).ok_or(QueueError::NotFound)?;
        Ok(state.contents[&id].1.clone())
    }

    async fn redrive(&self, id: EventId) -> Result<(), QueueError> {
        let mut state = self.state();
        state.machine.take_dead(id).ok_or(QueueError::NotFound)?;
        state.write(&Record::Redriven { id, at_ms: self.clock.now_ms() });
        self.changed.notify_one();
        Ok(())
    }

    async fn remove(&self, id: EventId) -> Result<(), QueueError> {
        let mut state = self.state();
        state.machine.take_dead(id).ok_or(QueueError::NotFound)?;
        state.write(&Record::Finished { id });
        state.contents.remove(&id);
        Ok(())
    }

    fn due_lanes(&self) -> Vec<Arc<Lane>> {
        self.state().machine.due_lanes(self.clock.now_ms())
    }

    fn next_due_ms(&self) -> Option<u64> {
        self.state().machine.next_due_ms(self.clock.now_ms())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    fn counts(&self) -> Counts {
        self.state().machine.counts()
    }
}

mod tests {
    use super::MemoryQueue;
    use crate::clock::HeldClock;
    use crate::queue::conformance::{self, EVENTS_MAX, START_MS};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_queue_in_memory_does_what_every_queue_must() {
        conformance::check_all(|| {
            let clock = Arc::new(HeldClock::new(START_MS));
            (Arc::new(MemoryQueue::new(Arc::clone(&clock) as _, EVENTS_MAX)), clock)
        })
        .await;
    }
}
