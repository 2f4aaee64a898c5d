//! Who is connected, and who has to leave when there are too many: whoever has asked for nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::wire::AnswerBody;

/// A bounded number of connections.
#[derive(Debug)]
pub(crate) struct Crowd {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    /// Somebody may leave who could not before.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    /// Connections without a request under way, in the order in which they leave.
    idle: BTreeMap<Seat, Arc<Notify>>,
    /// Nobody could leave when a new connection came.
    is_awaited: bool,
}

/// A connection without a request under way. Those who have never sent a whole head go first, then the others; each
/// time the one that has been idle longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    has_asked: bool,
    number: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    /// `None` while a request is under way.
    seat: Mutex<Option<Seat>>,
    has_asked: AtomicBool,
    leave: Arc<Notify>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// A request under way, until its answer has been handed over.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Member>);

impl Crowd {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(most));
        Arc::new(Self { slots, state: Mutex::default(), changed: Notify::new() })
    }

    /// Takes a connection in; sends another away when there are too many, and waits when all of them are busy.
    ///
    /// Cancel-safe: at worst, somebody has left for nothing.
    pub(crate) async fn join(self: &Arc<Self>) -> Arc<Member> {
        let slot = loop {
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                break slot;
            }
            self.send_one_away();
            tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => break slot.expect("the semaphore is never closed"),
                () = self.changed.notified() => {}
            }
        };
        self.member(Some(slot))
    }

    /// A connection that is not counted.
    pub(crate) fn guest() -> Arc<Member> {
        Self::new(0).member(None)
    }

    fn member(self: &Arc<Self>, slot: Option<OwnedSemaphorePermit>) -> Arc<Member> {
        let member = Member {
            crowd: Arc::clone(self),
            seat: Mutex::default(),
            has_asked: AtomicBool::new(false),
            leave: Arc::default(),
            _slot: slot,
        };
        member.sit();
        Arc::new(member)
    }

    fn send_one_away(&self) {
        let mut state = self.state();
        match state.idle.pop_first() {
            Some((_, leave)) => leave.notify_one(),
            None => state.is_awaited = true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.has_asked.store(true, Ordering::Relaxed);
        self.stand();
        Busy(Arc::clone(self))
    }

    /// Whether a whole head has ever come.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Waits until this connection has to make room for another.
    pub(crate) async fn must_leave(&self) {
        loop {
            self.leave.notified().await;
            if self.seat().is_some() {
                return;
            }
            // A request was faster. Somebody else must go.
            self.crowd.changed.notify_one();
        }
    }

    fn sit(&self) {
        let mut state = self.crowd.state();
        state.last_number += 1;
        let seat = Seat { has_asked: self.has_asked(), number: state.last_number };
        state.idle.insert(seat, Arc::clone(&self.leave));
        *self.seat() = Some(seat);
        if std::mem::take(&mut state.is_awaited) {
            self.crowd.changed.notify_one();
        }
    }

    fn stand(&self) {
        let mut state = self.crowd.state();
        let seat = self.seat().take();
        if let Some(seat) = seat {
            state.idle.remove(&seat);
        }
    }

    fn seat(&self) -> MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stand();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.sit();
    }
}

/// The body of an answer; its connection is busy until it has been handed over.
pub(crate) struct BusyBody {
    pub(crate) body: AnswerBody,
    pub(crate) _busy: Busy,
}

impl Body for BusyBody {
    type Data = <AnswerBody as Body>::Data;
    type Error = <AnswerBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, Member};
    use std::sync::Arc;
    use tokio::task::JoinHandle;

    /// The task of a connection: it ends when the connection has to leave.
    fn connected(member: Arc<Member>) -> JoinHandle<()> {
        tokio::spawn(async move { member.must_leave().await })
    }

    #[tokio::test]
    async fn the_oldest_that_has_not_asked_leaves_first_then_the_longest_idle() {
        let crowd = Crowd::new(3);
        let (old, fresh, fresher) = (crowd.join().await, crowd.join().await, crowd.join().await);
        drop(old.begin());
        let tasks = [fresh, fresher, old].map(connected);
        let mut busy = Vec::new();
        for task in tasks {
            busy.push(crowd.join().await.begin());
            task.await.unwrap();
        }
        assert_eq!(busy.len(), 3);
    }

    #[tokio::test]
    async fn nobody_with_a_request_under_way_has_to_leave() {
        let crowd = Crowd::new(1);
        let member = crowd.join().await;
        let busy = member.begin();
        let task = connected(member);
        let mut next = Box::pin(crowd.join());
        tokio::select! {
            biased;
            _joined = &mut next => panic!("there is no room"),
            () = tokio::task::yield_now() => {}
        }
        assert!(!task.is_finished());
        drop(busy);
        drop(next.await);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_is_faster_than_the_order_to_leave_is_served() {
        let crowd = Crowd::new(2);
        let (first, second) = (crowd.join().await, crowd.join().await);
        let mut next = Box::pin(crowd.join());
        tokio::select! {
            biased;
            _joined = &mut next => panic!("there is no room"),
            () = tokio::task::yield_now() => {}
        }
        let busy = first.begin();
        let tasks = [first, second].map(connected);
        drop(next.await);
        let [first, second] = tasks;
        second.await.unwrap();
        assert!(!first.is_finished());
        drop(busy);
        first.abort();
    }
}
