//! The engine's orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::engine::{STOP_LIMIT, Shared};
use crate::starting::OVERRUN;

impl Shared {
    /// Refuses new calls, waits for those under way, then ends what is left.
    pub(crate) async fn shutdown(self: &Arc<Self>, grace: Duration) {
        self.accounts().close();
        self.with_fleet(|fleet, effects| fleet.close(effects));
        if timeout(grace, self.until(|shared| shared.accounts().total() == 0)).await.is_err() {
            tracing::warn!(calls = self.accounts().total(), "calls did not finish in time and are ended");
        }
        self.with_fleet(|fleet, _| fleet.dismiss_waiters());
        self.killed.send_replace(true);
        let gone = |shared: &Self| shared.accounts().total() == 0 && shared.fleet().census().instances == 0;
        if timeout(STOP_LIMIT + OVERRUN, self.until(gone)).await.is_err() {
            tracing::error!(instances = self.fleet().census().instances, "instances did not stop in time");
        }
    }

    /// Waits for a state that the end of a call or of an instance brings about.
    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            // Listens before it looks, so that nothing can happen in between unnoticed.
            progress.as_mut().enable();
            if reached(self) {
                return;
            }
            progress.await;
        }
    }
}

#[cfg(test)]
mod tests;
