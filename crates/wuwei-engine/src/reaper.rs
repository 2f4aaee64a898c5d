//! Looks after idle instances: freezes those that have come to rest, stops those whose keep-alive has passed.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::engine::Shared;

/// Runs until the engine is gone. `wake` tells that something is due sooner than known.
pub(crate) async fn run(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let Some(next) = shared.upgrade().map(|shared| sweep(&shared)) else { return };
        match next {
            Some(next) => tokio::select! {
                () = sleep_until(next) => {}
                () = wake.notified() => {}
            },
            None => wake.notified().await,
        }
    }
}

fn sweep(shared: &Arc<Shared>) -> Option<Instant> {
    let sweep = shared.with_fleet(|fleet, effects| fleet.sweep(Instant::now(), effects));
    // Outside the fleet's lock: a write into a control group may take a while.
    for berth in sweep.freeze {
        berth.freeze();
    }
    sweep.next
}

#[cfg(test)]
mod tests;
