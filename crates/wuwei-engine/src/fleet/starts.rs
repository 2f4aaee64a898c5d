//! Starting instances: every start queues for memory, and goes ahead as soon as there is some.

use std::sync::Arc;
use std::time::Duration;

use super::{Effects, Fleet, StartOrder};
use crate::lease::Berth;
use crate::pool::{Delivery, PoolId, Ticket};
use crate::starting::StartFailure;

/// AWS's code for provisioned instances whose initialisation the function fails.
const INIT_FAILURE: &str = "FUNCTION_ERROR_INIT_FAILURE";

impl Fleet {
    /// A started instance is ready for its first call; without `init`, that call must initialise it.
    pub(crate) fn started(
        &mut self,
        id: PoolId,
        owner: Option<Ticket>,
        berth: Arc<Berth>,
        init: Option<Duration>,
        effects: &mut Effects,
    ) {
        let pool = self.pools.get_mut(&id).expect("a pool outlives its starting instances");
        pool.starting -= 1;
        if init.is_none() && pool.provisioned > 0 {
            pool.provision_failure = Some(INIT_FAILURE.to_owned());
        }
        if pool.serve_first_waiter(&berth, init) {
            pool.busy += 1;
            pool.disown_start(owner);
        } else {
            self.make_idle(id, berth, effects);
        }
        self.order_missing_starts(id, effects);
    }

    /// A start came to nothing. Its memory stays reserved until [`Fleet::stopped`].
    ///
    /// The call that it was made for fails with it. When that call was served by another instance, and other calls
    /// counted on this one, each of them gets a start of its own instead.
    pub(crate) fn start_failed(
        &mut self,
        id: PoolId,
        owner: Option<Ticket>,
        failure: StartFailure,
        effects: &mut Effects,
    ) {
        let pool = self.pools.get_mut(&id).expect("a pool outlives its starting instances");
        pool.starting -= 1;
        if pool.provisioned > 0 {
            pool.provision_failure = Some(failure.to_string());
        }
        self.memory.begin_stop(pool.memory_mb());
        if let Some(waiter) = owner.and_then(|ticket| pool.remove_waiter(ticket)) {
            // A call that is gone needs no message.
            drop(waiter.deliver.send(Delivery::Failed(failure)));
        }
        self.order_missing_starts(id, effects);
        self.remove_if_drained(id);
    }

    /// Queues a start for each waiting call that lacks one, and runs the queue.
    pub(super) fn order_missing_starts(&mut self, id: PoolId, effects: &mut Effects) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let missing = pool.missing_starts();
        if missing == 0 {
            return;
        }
        pool.queued_starts += missing;
        self.queued_starts.extend(std::iter::repeat_n(id, missing));
        self.run_queued_starts(effects);
    }

    /// Starts what fits, oldest first; one that does not fit does not hold up smaller ones behind it.
    pub(super) fn run_queued_starts(&mut self, effects: &mut Effects) {
        self.forget_needless_starts();
        for _ in 0..self.queued_starts.len() {
            let id = self.queued_starts.pop_front().expect("the loop runs once for each entry");
            let Some(pool) = self.pools.get_mut(&id) else { continue };
            let memory_mb = pool.memory_mb();
            if self.memory.try_reserve(memory_mb) {
                pool.queued_starts -= 1;
                pool.starting += 1;
                let owner = pool.claim_start();
                let function = Arc::clone(&pool.function);
                effects.starts.push(StartOrder { pool: id, owner, function, provisioned: false });
            } else {
                self.evict_for(memory_mb, effects);
                self.queued_starts.push_back(id);
            }
        }
        self.order_provisions(effects);
    }

    /// Drops queued starts whose calls were served by other instances or went away.
    pub(super) fn forget_needless_starts(&mut self) {
        let pools = &mut self.pools;
        self.queued_starts.retain(|id| match pools.get_mut(id) {
            Some(pool) if pool.waiters.len() >= pool.starting + pool.queued_starts => true,
            Some(pool) => {
                pool.queued_starts -= 1;
                false
            }
            None => false,
        });
    }

    /// Stops idle instances, least recently used first, until one of this size will fit or none is left.
    pub(super) fn evict_for(&mut self, memory_mb: u32, effects: &mut Effects) {
        while self.idle > 0 && !self.memory.will_fit(memory_mb) {
            let surplus = self.pools.iter().filter(|(_, pool)| pool.has_surplus());
            let oldest = surplus.filter_map(|(id, pool)| Some((pool.idle.front()?.ticket, *id))).min();
            let Some((_, id)) = oldest else { return };
            self.stop_oldest_idle(id, effects);
            self.remove_if_drained(id);
        }
    }
}
