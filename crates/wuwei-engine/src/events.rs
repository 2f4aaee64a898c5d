//! Asynchronous invocations: events are taken from the queue and run until they are done or given up.

mod attempt;
mod envelope;
mod windows;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use wuwei_model::FunctionVersion;
use wuwei_queue::{
    Clock, Counts, DeadLetter, EnqueueError, EventId, EventQueue, Lane, NewEvent, QueueError, RetryPolicy,
};

use crate::engine::Engine;
use attempt::{Attempts, Ending};
pub use envelope::AsyncCall;
use windows::Windows;

/// Looks again after so long, whatever it was told: a queue that could not be read may be by then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Looks again when a queue could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// What an event would run now.
#[derive(Clone, Debug)]
pub enum Runnable {
    /// A version, with the rules of the function's configuration.
    Version(Arc<FunctionVersion>, RetryPolicy),
    /// The function's reserved concurrency is zero.
    NoConcurrency,
    /// The function, its version or its alias is not there any more, or is another of the same name.
    Deleted,
    /// It cannot be told now, or cannot run now.
    NotNow,
}

/// Knows functions: events run what is there when they start.
#[async_trait]
pub trait EventCatalog: Send + Sync {
    /// What runs for an event that was sent to this qualifier of a function.
    async fn find(&self, lane: &Lane, qualifier: Option<&str>) -> Runnable;
}

/// Takes events and has them run. A handle, cheap to clone.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<dyn EventQueue>,
    clock: Arc<dyn Clock>,
    engine: Engine,
    stopping: watch::Sender<bool>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
}

impl Events {
    /// Puts events before an engine; none is run yet. The clock is the queue's.
    #[must_use]
    pub fn new(queue: Arc<dyn EventQueue>, clock: Arc<dyn Clock>, engine: Engine) -> Self {
        let stopping = watch::Sender::new(false);
        Self { shared: Arc::new(Shared { queue, clock, engine, stopping, dispatcher: Mutex::default() }) }
    }

    /// Takes an event; once this returns it will be run, or be found among the dead letters.
    ///
    /// # Errors
    /// [`EnqueueError`] when it was not taken, or nobody knows.
    pub async fn accept(&self, lane: Arc<Lane>, call: AsyncCall) -> Result<(), EnqueueError> {
        let event = NewEvent { lane, content: call.encode() };
        self.shared.queue.enqueue(event).await.map(drop)
    }

    /// Begins to run events, also those of earlier starts.
    pub fn start(&self, catalog: Arc<dyn EventCatalog>) {
        let dispatcher = tokio::spawn(dispatch(Arc::clone(&self.shared), catalog));
        *self.shared.dispatcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(dispatcher);
    }

    /// Begins no more attempts. Those under way go on; events can still be taken, for the next start.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Waits, after [`Events::stop`], until the attempts under way have ended and that is on the disk.
    pub async fn join(&self) {
        let dispatcher = self.shared.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(dispatcher) = dispatcher
            && dispatcher.await.is_err()
        {
            tracing::error!("the dispatcher of events panicked");
        }
    }

    /// Events that were given up after one (exclusive), in the order in which they were accepted.
    ///
    /// # Errors
    /// [`QueueError::Unread`] when the disk fails.
    pub async fn dead_letters(&self, after: Option<EventId>, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.shared.queue.dead_letters(after, limit).await
    }

    /// An event, if it was given up.
    ///
    /// # Errors
    /// [`QueueError::Unread`] when the disk fails.
    pub async fn dead_letter(&self, id: EventId) -> Result<Option<DeadLetter>, QueueError> {
        let before = id.number().checked_sub(1).map(EventId::from);
        let letters = self.shared.queue.dead_letters(before, 1).await?;
        Ok(letters.into_iter().find(|letter| letter.id == id))
    }

    /// The call of an event that was given up; `None` when it cannot be understood.
    ///
    /// # Errors
    /// [`QueueError`] when it was not given up, or cannot be read.
    pub async fn dead_call(&self, id: EventId) -> Result<Option<AsyncCall>, QueueError> {
        Ok(AsyncCall::decode(&self.shared.queue.dead_content(id).await?))
    }

    /// Has an event that was given up run again, as if it had just been sent.
    ///
    /// # Errors
    /// [`QueueError`] when it was not given up, or cannot be written.
    pub async fn redrive(&self, id: EventId) -> Result<(), QueueError> {
        self.shared.queue.redrive(id).await
    }

    /// Forgets an event that was given up.
    ///
    /// # Errors
    /// [`QueueError`] when it was not given up, or cannot be written.
    pub async fn remove(&self, id: EventId) -> Result<(), QueueError> {
        self.shared.queue.remove(id).await
    }

    /// How many events do what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.queue.counts()
    }
}

/// Runs what is due until it is stopped.
async fn dispatch(shared: Arc<Shared>, catalog: Arc<dyn EventCatalog>) {
    let mut stopping = shared.stopping.subscribe();
    let mut attempts = Attempts { set: JoinSet::new(), windows: Windows::default(), turn: 0 };
    while !*stopping.borrow() {
        let rest = shared.begin(&mut attempts, &catalog).await;
        tokio::select! {
            Some(ended) = attempts.set.join_next_with_id() => attempts.ended(ended, shared.clock.now_ms()),
            () = shared.queue.changed() => {}
            () = tokio::time::sleep(rest) => {}
            // Its sender lives in `shared`.
            _changed = stopping.changed() => {}
        }
    }
    while attempts.set.join_next().await.is_some() {}
}

impl Shared {
    /// Begins attempts for what is due, as far as there is room; gives how long nothing more can become due.
    async fn begin(self: &Arc<Self>, attempts: &mut Attempts, catalog: &Arc<dyn EventCatalog>) -> Duration {
        let most = usize::try_from(self.engine.account_concurrency()).unwrap_or(usize::MAX);
        let mut lanes = VecDeque::from(self.queue.due_lanes());
        // In turns: one function with many events does not keep the others waiting.
        lanes.rotate_left(attempts.turn % lanes.len().max(1));
        attempts.turn = attempts.turn.wrapping_add(1);
        while attempts.set.len() < most
            && let Some(lane) = lanes.pop_front()
        {
            if !attempts.windows.has_room(&lane, self.clock.now_ms()) {
                continue;
            }
            match self.queue.claim(&lane, attempt::LEASE).await {
                Ok(Some(claimed)) => {
                    let task = attempt::run(Arc::clone(self), Arc::clone(catalog), claimed);
                    let id = attempts.set.spawn(task).id();
                    attempts.windows.begin(id, &lane);
                    lanes.push_back(lane);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, function = lane.function.name, "an event cannot be taken");
                    return UNREADABLE;
                }
            }
        }
        let now_ms = self.clock.now_ms();
        let next_ms = [self.queue.next_due_ms(), attempts.windows.next_resume_ms(now_ms)].into_iter().flatten().min();
        next_ms.map_or(LOOK_AGAIN, |next_ms| Duration::from_millis(next_ms.saturating_sub(now_ms)).min(LOOK_AGAIN))
    }
}

impl Attempts {
    fn ended(&mut self, ended: Result<(tokio::task::Id, Ending), tokio::task::JoinError>, now_ms: u64) {
        match ended {
            Ok((id, ending)) => self.windows.end(id, ending, now_ms),
            Err(error) => {
                // Its lease runs out, and the event is run again.
                tracing::error!(%error, "an attempt of an event panicked");
                self.windows.end(error.id(), Ending::Throttled, now_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests;
