//! The scheduler's state: every pool, the memory they share, and the rules that move instances between calls.
//!
//! Nothing here waits or does input or output: each method changes the state under one lock and leaves in
//! [`Effects`] what the engine must do after releasing it. What always holds between two methods:
//! - an instance is idle in one pool, or busy with one call, or starting, or stopping, and holds memory in all four;
//! - a call waits only while its pool has no idle instance;
//! - for every waiting call a start is under way, or queued for memory.

mod idle;
mod provision;
mod starts;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wuwei_model::{FunctionKey, FunctionVersion, Version};

use crate::lease::Berth;
use crate::memory::MemoryBudget;
use crate::pool::{Delivery, Pool, PoolId, Ticket, Waiter, Withdrawal};
use idle::Cooling;
pub use provision::Provision;

/// Starts that may wait for memory, over all functions; one more call is refused.
pub(crate) const QUEUED_STARTS_MAX: usize = 1_000;

/// Every instance and every waiting call.
pub(crate) struct Fleet {
    pools: BTreeMap<PoolId, Pool>,
    /// Pools that new calls can find.
    index: HashMap<FunctionKey, Vec<PoolId>>,
    memory: MemoryBudget,
    /// Starts that wait for memory, oldest first.
    queued_starts: VecDeque<PoolId>,
    /// Pools that have provisioned instances.
    provisioned: BTreeSet<PoolId>,
    /// Idle instances that still run, in the order in which they are to be frozen.
    cooling: VecDeque<Cooling>,
    /// No idle instance expires before this; `None` when there is none.
    next_expiry: Option<Instant>,
    idle: usize,
    keep_alive: Duration,
    closed: bool,
    dismissed: bool,
    last_number: u64,
}

/// What the engine must do once it has let go of the lock.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) starts: Vec<StartOrder>,
    pub(crate) stops: Vec<Arc<Berth>>,
    /// The reaper has something to do sooner than it knows.
    pub(crate) wake_reaper: bool,
}

/// One instance to start; its memory is reserved.
pub(crate) struct StartOrder {
    pub(crate) pool: PoolId,
    /// The call that fails when this start does.
    pub(crate) owner: Option<Ticket>,
    pub(crate) function: Arc<FunctionVersion>,
    /// For no call, but because so many are to be there.
    pub(crate) provisioned: bool,
}

/// What a call gets when it asks for an instance.
pub(crate) enum Take {
    /// An idle instance, now busy; it may have died or be frozen.
    Idle(PoolId, Arc<Berth>),
    /// A place in the queue.
    Wait(PoolId, Ticket, oneshot::Receiver<Delivery>),
    /// The machine's memory does not allow it.
    NoMemory,
    /// The engine is shutting down.
    Closed,
}

/// Numbers of instances and of waiting calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) idle: usize,
    pub(crate) busy: usize,
    pub(crate) starting: usize,
    pub(crate) waiting: usize,
    pub(crate) memory_mb: u64,
    /// All instances, stopping ones included.
    pub(crate) instances: usize,
}

impl Fleet {
    pub(crate) fn new(memory_budget_mb: u64, keep_alive: Duration) -> Self {
        Self {
            pools: BTreeMap::new(),
            index: HashMap::new(),
            memory: MemoryBudget::new(memory_budget_mb),
            queued_starts: VecDeque::new(),
            provisioned: BTreeSet::new(),
            cooling: VecDeque::new(),
            next_expiry: None,
            idle: 0,
            keep_alive,
            closed: false,
            dismissed: false,
            last_number: 0,
        }
    }

    /// Takes the most recently used idle instance (one that needs no initialisation first), or queues the call and orders a start.
    ///
    /// Instances of one tenant are not found by calls of another.
    pub(crate) fn take(
        &mut self,
        function: &Arc<FunctionVersion>,
        tenant: Option<&str>,
        effects: &mut Effects,
    ) -> Take {
        if self.dismissed {
            return Take::Closed;
        }
        if !self.memory.could_hold(function.settings.memory_mb) {
            return Take::NoMemory;
        }
        let id = self.pool_of(function, tenant);
        let pool = self.pools.get_mut(&id).expect("found or made above");
        if let Some(idle) = pool.pop_idle() {
            pool.busy += 1;
            self.idle -= 1;
            return Take::Idle(id, idle.berth);
        }
        if self.queued_starts.len() >= QUEUED_STARTS_MAX {
            self.forget_needless_starts();
        }
        if self.queued_starts.len() >= QUEUED_STARTS_MAX {
            self.remove_if_drained(id);
            return Take::NoMemory;
        }
        let ticket = self.next_ticket();
        let (deliver, delivery) = oneshot::channel();
        let pool = self.pools.get_mut(&id).expect("it has not been removed since");
        pool.waiters.push_back(Waiter { ticket, has_own_start: false, deliver });
        self.order_missing_starts(id, effects);
        Take::Wait(id, ticket, delivery)
    }

    /// A call has finished and its instance is good for another.
    pub(crate) fn give_back(&mut self, id: PoolId, berth: Arc<Berth>, effects: &mut Effects) {
        let pool = self.pools.get_mut(&id).expect("a pool outlives its busy instances");
        if pool.serve_first_waiter(&berth, None) {
            return;
        }
        pool.busy -= 1;
        self.make_idle(id, berth, effects);
    }

    /// A call has finished, or found its instance dead; the instance must be stopped.
    pub(crate) fn discard(&mut self, id: PoolId, berth: Arc<Berth>, effects: &mut Effects) {
        let pool = self.pools.get_mut(&id).expect("a pool outlives its busy instances");
        pool.busy -= 1;
        self.order_stop(berth, effects);
        self.remove_if_drained(id);
    }

    /// A stopped instance is gone: its memory is free for others.
    pub(crate) fn stopped(&mut self, memory_mb: u32, effects: &mut Effects) {
        self.memory.release(memory_mb);
        self.run_queued_starts(effects);
    }

    /// Takes a call that has waited too long out of the queue, see [`Pool::withdraw`].
    pub(crate) fn withdraw(&mut self, id: PoolId, ticket: Ticket, forced: bool) -> Withdrawal {
        let withdrawal = match self.pools.get_mut(&id) {
            Some(pool) => pool.withdraw(ticket, forced),
            None => Withdrawal::Delivered,
        };
        self.remove_if_drained(id);
        withdrawal
    }

    /// Hides the pools of a function from new calls and stops their idle instances.
    pub(crate) fn retire(&mut self, key: &FunctionKey, effects: &mut Effects) {
        for id in self.index.remove(key).unwrap_or_default() {
            self.retire_pool(id, effects);
        }
    }

    /// The same for the pools of one version.
    pub(crate) fn retire_version(&mut self, key: &FunctionKey, version: Version, effects: &mut Effects) {
        let Some(ids) = self.index.get_mut(key) else { return };
        let pools = &self.pools;
        let retired: Vec<PoolId> = ids.extract_if(.., |id| pools[id].function.version == version).collect();
        if ids.is_empty() {
            self.index.remove(key);
        }
        for id in retired {
            self.retire_pool(id, effects);
        }
    }

    fn retire_pool(&mut self, id: PoolId, effects: &mut Effects) {
        let pool = self.pools.get_mut(&id).expect("the index names existing pools only");
        pool.retired = true;
        pool.provisioned = 0;
        self.provisioned.remove(&id);
        self.stop_idle(id, effects);
        self.remove_if_drained(id);
    }

    /// From now on instances are stopped when they would become idle.
    pub(crate) fn close(&mut self, effects: &mut Effects) {
        self.closed = true;
        let ids: Vec<PoolId> = self.pools.keys().copied().collect();
        for id in ids {
            if let Some(pool) = self.pools.get_mut(&id) {
                pool.provisioned = 0;
            }
            self.stop_idle(id, effects);
            self.remove_if_drained(id);
        }
        self.provisioned.clear();
    }

    /// Sends all waiting calls away, and those that still come.
    pub(crate) fn dismiss_waiters(&mut self) {
        self.dismissed = true;
        let ids: Vec<PoolId> = self.pools.keys().copied().collect();
        for id in ids {
            let waiters = self.pools.get_mut(&id).map(|pool| std::mem::take(&mut pool.waiters)).unwrap_or_default();
            for waiter in waiters {
                // A call that is gone needs no message.
                drop(waiter.deliver.send(Delivery::Closed));
            }
            self.remove_if_drained(id);
        }
    }

    pub(crate) fn census(&self) -> Census {
        let mut census =
            Census { memory_mb: self.memory.reserved_mb(), instances: self.memory.instances(), ..Census::default() };
        for pool in self.pools.values() {
            census.idle += pool.idle.len();
            census.busy += pool.busy;
            census.starting += pool.starting;
            census.waiting += pool.waiters.len();
        }
        census
    }

    fn pool_of(&mut self, function: &Arc<FunctionVersion>, tenant: Option<&str>) -> PoolId {
        let serves = |pool: &Pool| pool.tenant.as_deref() == tenant && is_same_revision(&pool.function, function);
        let ids = self.index.get(&function.key);
        let known = ids.and_then(|ids| ids.iter().copied().find(|id| serves(&self.pools[id])));
        if let Some(id) = known {
            // The next call most often brings the same one, which needs no comparison then.
            self.pools.entry(id).and_modify(|pool| pool.function = Arc::clone(function));
            return id;
        }
        let id = PoolId(self.next_number());
        self.pools.insert(id, Pool::new(Arc::clone(function), tenant.map(str::to_owned)));
        self.index.entry(function.key.clone()).or_default().push(id);
        id
    }

    /// At zero nothing is left.
    fn remove_if_drained(&mut self, id: PoolId) {
        if !self.pools.get(&id).is_some_and(Pool::is_drained) {
            return;
        }
        let pool = self.pools.remove(&id).expect("looked up above");
        if let Some(ids) = self.index.get_mut(&pool.function.key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.index.remove(&pool.function.key);
            }
        }
    }

    fn order_stop(&mut self, berth: Arc<Berth>, effects: &mut Effects) {
        self.memory.begin_stop(berth.memory_mb());
        effects.stops.push(berth);
    }

    fn next_ticket(&mut self) -> Ticket {
        Ticket(self.next_number())
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Whether instances of one may serve the other: nothing that an instance is made of has changed. `RevisionId` is no
/// measure: a change of the resource policy gives a new one, too, and is no reason to start anew.
fn is_same_revision(pooled: &FunctionVersion, function: &FunctionVersion) -> bool {
    if std::ptr::eq(pooled, function) {
        return true;
    }
    pooled.version == function.version
        && pooled.last_modified_ms == function.last_modified_ms
        && pooled.code == function.code
        && pooled.settings == function.settings
}
