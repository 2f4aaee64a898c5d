//! Futures that come to their end, whoever stops waiting for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;

/// A task, or what is left of one.
pub type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a task where it is awaited: no other thread is woken for it. Dropped before its end, it hands the rest of the task
/// over, to be run elsewhere.
pub struct ToTheEnd<T, H: FnOnce(Task<T>)> {
    task: Option<Task<T>>,
    hand_over: Option<H>,
}

/// A task panicked. The panic hook has printed how; nothing of the task is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a task panicked")]
pub struct PanickedError;

impl<T, H: FnOnce(Task<T>)> ToTheEnd<T, H> {
    /// `hand_over` gets what is left of the task when this is dropped before its end.
    pub fn new(task: impl Future<Output = T> + Send + 'static, hand_over: H) -> Self {
        Self { task: Some(Box::pin(task)), hand_over: Some(hand_over) }
    }
}

impl<T, H: FnOnce(Task<T>) + Unpin> Future for ToTheEnd<T, H> {
    type Output = Result<T, PanickedError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &mut self.task else { return Poll::Ready(Err(PanickedError)) };
        // A task that has panicked is never looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context)));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_panic) => Err(PanickedError),
        };
        self.task = None;
        Poll::Ready(output)
    }
}

impl<T, H: FnOnce(Task<T>)> Drop for ToTheEnd<T, H> {
    fn drop(&mut self) {
        if let (Some(task), Some(hand_over)) = (self.task.take(), self.hand_over.take()) {
            hand_over(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PanickedError, ToTheEnd};
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_task_runs_where_it_is_awaited_and_its_panic_is_contained() {
        let here = std::thread::current().id();
        let ran = ToTheEnd::new(async { std::thread::current().id() }, drop).await;
        assert_eq!(ran, Ok(here));
        let ran: Result<(), _> = ToTheEnd::new(async { panic!("on purpose") }, drop).await;
        assert_eq!(ran, Err(PanickedError));
    }

    #[tokio::test]
    async fn what_is_left_is_handed_over_once_and_goes_on_where_it_stood() {
        let (rests, handed_over) = mpsc::sync_channel(1);
        let (go, wait) = oneshot::channel();
        let mut task = Box::pin(ToTheEnd::new(async { wait.await.unwrap() }, move |rest| rests.send(rest).unwrap()));
        let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        drop(task);
        go.send(7).unwrap();
        assert_eq!(handed_over.recv().unwrap().await, 7);
        assert!(handed_over.recv().is_err());
    }
}
