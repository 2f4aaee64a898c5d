//! An instance's place in the engine, and a call's hold on one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wuwei_model::limits;
use wuwei_sandbox::Instance;

use crate::collaborators::InstanceLog;
use crate::engine::Shared;
use crate::pool::PoolId;

/// From this age on an instance gets no event.
const AGE_MAX: Duration = Duration::from_secs(limits::INSTANCE_AGE_S_MAX);

/// Where an instance stays for its whole life; empty while a call holds it, and once it is being stopped.
pub(crate) struct Berth {
    memory_mb: u32,
    live: Mutex<Option<Box<Live>>>,
}

/// A running instance with what belongs to it.
pub(crate) struct Live {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) log: Box<dyn InstanceLog>,
    pub(crate) frozen: bool,
    /// CPU time that reports have accounted for, in microseconds. What an instance uses after an answer, until it is
    /// frozen, counts for its next invocation: nothing is counted twice, and nothing is lost between two calls.
    pub(crate) metered_cpu_us: u64,
    /// When it was started.
    pub(crate) began: Instant,
}

impl Berth {
    pub(crate) fn new(memory_mb: u32, live: Box<Live>) -> Self {
        Self { memory_mb, live: Mutex::new(Some(live)) }
    }

    /// What the instance has reserved, in MB.
    pub(crate) fn memory_mb(&self) -> u32 {
        self.memory_mb
    }

    /// Freezes the instance if it is here; one lock keeps a call from taking it half way.
    pub(crate) fn freeze(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = live.as_mut().filter(|live| !live.frozen) {
            live.frozen = true;
            live.instance.freeze();
        }
    }

    /// Takes the instance out; `None` when it is gone already.
    pub(crate) fn take(&self) -> Option<Box<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, live: Box<Live>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }
}

/// One call's exclusive hold on one instance. Dropping it, for example in a panic, stops the instance.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    pool: PoolId,
    berth: Arc<Berth>,
    live: Option<Box<Live>>,
}

impl Lease {
    /// Takes hold of an instance that the fleet counts as busy, and lets it run.
    pub(crate) fn open(shared: Arc<Shared>, pool: PoolId, berth: Arc<Berth>) -> Self {
        let mut live = berth.take();
        if let Some(live) = live.as_mut().filter(|live| live.frozen) {
            live.frozen = false;
            live.instance.thaw();
        }
        Self { shared, pool, berth, live }
    }

    /// Whether the instance is still there, and young enough for another event.
    pub(crate) fn is_fit(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.instance.is_alive() && live.began.elapsed() < AGE_MAX)
    }

    pub(crate) fn live(&mut self) -> &mut Live {
        self.live.as_mut().expect("a berth is empty only while its instance is leased or stopping")
    }

    /// Lets the next call have the instance.
    pub(crate) fn keep(mut self) {
        if let Some(live) = self.live.take() {
            self.berth.put(live);
            self.shared.with_fleet(|fleet, effects| fleet.give_back(self.pool, Arc::clone(&self.berth), effects));
        }
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
