//! One attempt of one event, from the claim to its end on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use wuwei_queue::{Cause, Claimed, Lease, Next, QueueError, RetryPolicy, Verdict};

use super::windows::Windows;
use super::{AsyncCall, EventCatalog, Runnable, Shared};
use crate::call::InvokeError;

/// How long an event stays with an attempt that says nothing more of itself.
pub(super) const LEASE: Duration = Duration::from_secs(60);
/// How often an attempt does.
const EXTEND_EVERY: Duration = Duration::from_secs(20);
/// How long a disk that refuses is left in peace.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Attempts under way.
pub(super) struct Attempts {
    pub(super) set: JoinSet<Ending>,
    pub(super) windows: Windows,
    /// Which function is first the next time.
    pub(super) turn: usize,
}

/// What an attempt says of the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// There was room.
    Ran,
    /// There was none.
    Throttled,
}

/// Runs an event, and writes down what becomes of it.
pub(super) async fn run(shared: Arc<Shared>, catalog: Arc<dyn EventCatalog>, claimed: Claimed) -> Ending {
    let Claimed { lease, lane, progress, content } = claimed;
    let Some(call) = AsyncCall::decode(&content) else {
        tracing::error!(function = lane.function.name, "an event of the queue cannot be read");
        shared.end(lease, Next::Dead(Cause::Damaged)).await;
        return Ending::Ran;
    };
    let (policy, verdict) = match catalog.find(&lane, call.qualifier.as_deref()).await {
        Runnable::Version(version, policy) => {
            if let Some(cause) = policy.refusal(progress, shared.clock.now_ms()) {
                shared.end(lease, Next::Dead(cause)).await;
                return Ending::Ran;
            }
            let invocation = shared.engine.invoke(version, call.into_call());
            match shared.hold(lease, invocation).await {
                Ok(answer) if answer.function_error.is_some() => (policy, Verdict::FunctionError),
                Ok(_) => (policy, Verdict::Success),
                Err(InvokeError::TooManyRequests(_)) => (policy, Verdict::Throttled),
                Err(InvokeError::Launch(_) | InvokeError::Internal) => (policy, Verdict::PlatformError),
                // It stays as it is for the next start.
                Err(InvokeError::ShuttingDown) => return Ending::Throttled,
            }
        }
        Runnable::NoConcurrency => (RetryPolicy::default(), Verdict::NoConcurrency),
        Runnable::Deleted => (RetryPolicy::default(), Verdict::FunctionDeleted),
        Runnable::NotNow => (RetryPolicy::default(), Verdict::PlatformError),
    };
    let next = policy.after(progress, verdict, shared.clock.now_ms());
    shared.end(lease, next).await;
    match verdict {
        Verdict::Throttled | Verdict::PlatformError => Ending::Throttled,
        Verdict::Success | Verdict::FunctionError | Verdict::NoConcurrency | Verdict::FunctionDeleted => Ending::Ran,
    }
}

impl Shared {
    /// Keeps the lease for as long as something takes.
    async fn hold<T>(&self, lease: Lease, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(EXTEND_EVERY) => self.extend(lease).await,
            }
        }
    }

    async fn extend(&self, lease: Lease) {
        if let Err(error) = self.queue.extend(lease, LEASE).await {
            tracing::warn!(%error, "an event may be run again while it runs");
        }
    }

    /// Writes down how an attempt has ended. While the disk refuses, it is tried again: else what was done is done again.
    async fn end(&self, lease: Lease, next: Next) {
        loop {
            let ended = match next {
                Next::Ack => self.queue.ack(lease).await,
                Next::Retry { due_at_ms, counting } => self.queue.retry_at(lease, due_at_ms, counting).await,
                Next::Dead(cause) => self.queue.dead(lease, cause).await,
            };
            match ended {
                Ok(()) => return,
                Err(QueueError::Unwritten) if !*self.stopping.borrow() => {
                    tokio::time::sleep(WRITE_AGAIN).await;
                    self.extend(lease).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the end of an event cannot be written: it will be run again");
                    return;
                }
            }
        }
    }
}
