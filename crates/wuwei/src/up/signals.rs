use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Counts the requests to stop: SIGTERM and SIGINT.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    count: watch::Sender<u32>,
    seen: watch::Receiver<u32>,
}

impl Signals {
    /// Takes the signals over from the system's default of ending the process.
    pub(super) fn listen() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| Failure::local("cannot listen for signals").because(error));
        let (mut terminate, mut interrupt) = (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
        let (count, seen) = watch::channel(0);
        let counted = count.clone();
        // Ends with the process: there is always another signal to come.
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                counted.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count, seen })
    }

    /// Goes on as after a signal.
    pub(super) fn raise(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits until `number` signals have come. Cancel-safe; any number of waiters.
    pub(super) fn at_least(&self, number: u32) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.seen.clone();
        async move {
            if seen.wait_for(|count| *count >= number).await.is_err() {
                // The counting task is gone with its runtime: nobody can ask for anything any more.
                std::future::pending::<()>().await;
            }
        }
    }
}
