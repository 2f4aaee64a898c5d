//! Provisioned instances: started ahead of any call, and kept.

use std::sync::Arc;

use tokio::time::Instant;
use wuwei_model::{FunctionKey, FunctionVersion};

use super::{Effects, Fleet, StartOrder, is_same_revision};
use crate::pool::PoolId;

/// What there is of the provisioned instances of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provision {
    /// How many are wanted.
    pub requested: u32,
    /// How many are there.
    pub allocated: u32,
    /// How many are initialised.
    pub available: u32,
    /// Why no more are started.
    pub failure: Option<String>,
}

impl Fleet {
    /// Keeps so many instances of these versions, and none of others of the function. What failed is tried again.
    pub(crate) fn provision(
        &mut self,
        key: &FunctionKey,
        wanted: &[(Arc<FunctionVersion>, u32)],
        effects: &mut Effects,
    ) {
        if self.closed {
            return;
        }
        for id in self.index.get(key).cloned().unwrap_or_default() {
            self.set_provision(id, 0);
        }
        for (function, count) in wanted.iter().filter(|(_, count)| *count > 0) {
            let id = self.pool_of(function, None);
            self.set_provision(id, usize::try_from(*count).unwrap_or(usize::MAX));
            self.provisioned.insert(id);
        }
        for id in self.index.get(key).cloned().unwrap_or_default() {
            self.remove_if_drained(id);
        }
        // What is kept no more may be due already.
        self.next_expiry = Some(Instant::now());
        effects.wake_reaper = true;
        self.run_queued_starts(effects);
    }

    fn set_provision(&mut self, id: PoolId, count: usize) {
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.provisioned = count;
            pool.provision_failure = None;
        }
        self.provisioned.remove(&id);
    }

    /// Starts what is lacking, as far as there is memory; the rest follows when there is more.
    pub(super) fn order_provisions(&mut self, effects: &mut Effects) {
        if self.provisioned.is_empty() || self.closed {
            return;
        }
        let ids: Vec<PoolId> = self.provisioned.iter().copied().collect();
        for id in ids {
            let Some(pool) = self.pools.get_mut(&id) else { continue };
            let memory_mb = pool.memory_mb();
            let mut lacking = pool.lacking();
            while lacking > 0 && self.memory.try_reserve(memory_mb) {
                lacking -= 1;
                pool.starting += 1;
                let function = Arc::clone(&pool.function);
                effects.starts.push(StartOrder { pool: id, owner: None, function, provisioned: true });
            }
            if lacking > 0 {
                self.evict_for(memory_mb, effects);
            }
        }
    }

    /// What there is for a version.
    pub(crate) fn provision_of(&self, function: &FunctionVersion) -> Provision {
        let ids = self.index.get(&function.key).into_iter().flatten();
        let mut pools = ids.filter_map(|id| self.pools.get(id));
        let Some(pool) = pools.find(|pool| pool.tenant.is_none() && is_same_revision(&pool.function, function)) else {
            return Provision::default();
        };
        let initialised = pool.idle.iter().filter(|idle| idle.initialised).count();
        let shown = |count: usize| u32::try_from(count.min(pool.provisioned)).unwrap_or(u32::MAX);
        Provision {
            requested: shown(pool.provisioned),
            allocated: shown(pool.idle.len() + pool.busy),
            available: shown(initialised + pool.busy),
            failure: pool.provision_failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
