//! Idle instances: how they come to rest, freeze, expire and leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Effects, Fleet};
use crate::lease::Berth;
use crate::pool::{Idle, Pool, PoolId, Ticket};

/// How long an idle instance keeps running: calls that follow each other closely pay for no freezing, and no function
/// runs for longer than 10 ms after its answer (timers fire up to 1 ms late).
pub(crate) const FREEZE_AFTER: Duration = Duration::from_millis(8);

/// An idle instance that is to be frozen, if it is still idle then.
pub(crate) struct Cooling {
    due: Instant,
    pool: PoolId,
    ticket: Ticket,
}

/// What is due at one moment.
pub(crate) struct Sweep {
    /// To be frozen, if they are still idle.
    pub(crate) freeze: Vec<Arc<Berth>>,
    /// When to sweep again; `None`: when something has become idle.
    pub(crate) next: Option<Instant>,
}

impl Fleet {
    /// Puts an instance that no call waits for to rest, or stops it if nothing will ever use it.
    pub(super) fn make_idle(&mut self, id: PoolId, berth: Arc<Berth>, effects: &mut Effects) {
        let ticket = self.next_ticket();
        let closed = self.closed;
        let pool = self.pools.get_mut(&id).expect("its instance was starting or busy until now");
        if pool.retired || closed {
            self.order_stop(berth, effects);
            self.remove_if_drained(id);
            return;
        }
        let since = Instant::now();
        let initialised = berth.has_runtime();
        pool.idle.push_back(Idle { berth, since, ticket, initialised });
        self.idle += 1;
        effects.wake_reaper |= self.cooling.is_empty();
        self.cooling.push_back(Cooling { due: since + FREEZE_AFTER, pool: id, ticket });
        self.next_expiry.get_or_insert(since + self.keep_alive);
        // Memory that an idle instance holds can be had by others.
        self.run_queued_starts(effects);
    }

    /// Collects what has come to rest long enough: instances to freeze, and those whose keep-alive has passed.
    pub(crate) fn sweep(&mut self, now: Instant, effects: &mut Effects) -> Sweep {
        let mut freeze = Vec::new();
        // Also those at the front that have been taken since: the next sweep is for one that still rests, so that a
        // function in steady use is not looked at after every call.
        while let Some(cooling) = self.cooling.front() {
            let resting = self.pools.get(&cooling.pool).and_then(|pool| {
                let position = pool.idle.binary_search_by_key(&cooling.ticket, |idle| idle.ticket).ok()?;
                Some(&pool.idle[position].berth)
            });
            match resting {
                Some(_) if cooling.due > now => break,
                Some(berth) => freeze.push(Arc::clone(berth)),
                None => {}
            }
            self.cooling.pop_front();
        }
        if self.next_expiry.is_some_and(|expiry| expiry <= now) {
            self.expire(now, effects);
        }
        let next = self.cooling.front().map(|cooling| cooling.due).into_iter().chain(self.next_expiry).min();
        Sweep { freeze, next }
    }

    fn expire(&mut self, now: Instant, effects: &mut Effects) {
        let ids: Vec<PoolId> = self.pools.keys().copied().collect();
        for id in ids {
            let keep_alive = self.keep_alive;
            let expired = |pool: &Pool| {
                pool.has_surplus() && pool.idle.front().is_some_and(|idle| idle.since + keep_alive <= now)
            };
            while self.pools.get(&id).is_some_and(expired) {
                self.stop_oldest_idle(id, effects);
            }
            self.remove_if_drained(id);
        }
        let surplus = self.pools.values().filter(|pool| pool.has_surplus());
        let oldest = surplus.filter_map(|pool| Some(pool.idle.front()?.since)).min();
        self.next_expiry = oldest.map(|since| since + self.keep_alive);
    }

    pub(super) fn stop_oldest_idle(&mut self, id: PoolId, effects: &mut Effects) {
        let idle = self.pools.get_mut(&id).and_then(|pool| pool.idle.pop_front());
        if let Some(idle) = idle {
            self.idle -= 1;
            self.order_stop(idle.berth, effects);
        }
    }

    pub(super) fn stop_idle(&mut self, id: PoolId, effects: &mut Effects) {
        while self.pools.get(&id).is_some_and(|pool| !pool.idle.is_empty()) {
            self.stop_oldest_idle(id, effects);
        }
    }
}
