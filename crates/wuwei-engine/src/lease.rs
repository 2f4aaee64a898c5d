//! An environment's place in the engine, and a call's hold on one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::Shared;
use crate::live::Live;
use crate::pool::PoolId;

/// Where an environment stays for its whole life; empty while a call holds it, and once it is being stopped.
pub(crate) struct Berth {
    memory_mb: u32,
    live: Mutex<Option<Box<Live>>>,
}

impl Berth {
    pub(crate) fn new(memory_mb: u32, live: Box<Live>) -> Self {
        Self { memory_mb, live: Mutex::new(Some(live)) }
    }

    /// What the environment has reserved, in MB.
    pub(crate) fn memory_mb(&self) -> u32 {
        self.memory_mb
    }

    /// Whether an environment is here that needs no initialisation.
    pub(crate) fn has_runtime(&self) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|live| live.has_runtime())
    }

    /// Freezes the environment if it is here; one lock keeps a call from taking it half way.
    pub(crate) fn freeze(&self) {
        if let Some(live) = self.live.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            live.freeze();
        }
    }

    /// Takes the environment out; `None` when it is gone already.
    pub(crate) fn take(&self) -> Option<Box<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, live: Box<Live>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }
}

/// One call's exclusive hold on one environment. Dropping it, for example in a panic, stops the environment.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    pool: PoolId,
    berth: Arc<Berth>,
    live: Option<Box<Live>>,
}

impl Lease {
    /// Takes hold of an environment that the fleet counts as busy, and lets it run.
    pub(crate) fn open(shared: Arc<Shared>, pool: PoolId, berth: Arc<Berth>) -> Self {
        let mut live = berth.take();
        if let Some(live) = &mut live {
            live.thaw();
        }
        Self { shared, pool, berth, live }
    }

    /// Whether the environment is there, did not die unseen, and is young enough for another event. One whose runtime
    /// was ended is as good as any.
    pub(crate) fn is_fit(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_fit())
    }

    pub(crate) fn live(&mut self) -> &mut Live {
        self.live.as_mut().expect("a berth is empty only while its environment is leased or stopping")
    }

    /// Lets the next call have the environment.
    pub(crate) fn keep(mut self) {
        if let Some(live) = self.live.take() {
            self.berth.put(live);
            self.shared.with_fleet(|fleet, effects| fleet.give_back(self.pool, Arc::clone(&self.berth), effects));
        }
    }

    /// Lets the next call have the environment, with a new runtime.
    pub(crate) fn reset(mut self) {
        if let Some(live) = &mut self.live {
            self.shared.end_runtime(live);
        }
        self.keep();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.berth.put(live);
            self.shared.with_fleet(|fleet, effects| fleet.discard(self.pool, Arc::clone(&self.berth), effects));
        }
    }
}
