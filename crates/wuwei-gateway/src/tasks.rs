//! Tasks that outlive the connection that asked for them, joined when the server stops.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wuwei_engine::{Task, ToTheEnd};

/// A group of running tasks; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Runs a task to its end, whoever waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Finished tasks are let go here, so that the set holds what runs and a little more.
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    /// Runs a task to its end and waits for its result; `None` when it panicked. It is run by whoever waits, and in the
    /// group once nobody does.
    pub(crate) async fn run<T: 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let tasks = self.clone();
        let hand_over = move |rest: Task<T>| {
            tracing::debug!("a caller left before its answer");
            // Without a runtime the process ends: nothing can be run any more.
            if Handle::try_current().is_ok() {
                tasks.spawn(async move { drop(rest.await) });
            }
        };
        ToTheEnd::new(task, hand_over).await.ok()
    }

    /// Waits for all tasks, those included that start meanwhile.
    pub(crate) async fn join(&self) {
        loop {
            let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if set.is_empty() {
                return;
            }
            while set.join_next().await.is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;
    use std::future::Future as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_panic_is_contained_and_reported() {
        let tasks = Tasks::default();
        let result: Option<u8> = tasks.run(async { panic!("on purpose") }).await;
        assert_eq!(result, None);
        assert_eq!(tasks.run(async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn a_task_ends_although_its_caller_has_left() {
        let tasks = Tasks::default();
        let done = Arc::new(AtomicBool::new(false));
        let (go, wait) = oneshot::channel::<()>();
        let flag = Arc::clone(&done);
        let call = tasks.run(async move {
            wait.await.unwrap();
            flag.store(true, Ordering::SeqCst);
        });
        {
            let mut call = Box::pin(call);
            // Polled once, so that the task has started; then dropped.
            std::future::poll_fn(|context| {
                assert!(call.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        go.send(()).unwrap();
        tasks.join().await;
        assert!(done.load(Ordering::SeqCst));
    }
}
