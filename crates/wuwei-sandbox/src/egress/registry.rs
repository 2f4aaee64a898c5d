//! Who has which address in the router's network: the server of names asks it what an asker may know.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use wuwei_model::EgressPolicy;

/// Questions of one sandbox that are looked into at a time; further ones are dropped, as a busy network would.
const QUESTIONS_MAX: usize = 32;

/// A sandbox as the server of names sees it.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) policy: EgressPolicy,
    pub(super) questions: Arc<Semaphore>,
}

/// The sandboxes with networks.
#[derive(Debug, Default)]
pub(super) struct Registry {
    tenants: Mutex<BTreeMap<Ipv4Addr, Arc<Tenant>>>,
}

/// A sandbox's entry; dropping it strikes it out.
#[derive(Debug)]
pub(crate) struct Lease {
    registry: Arc<Registry>,
    address: Ipv4Addr,
    tenant: Arc<Tenant>,
    lost: watch::Receiver<bool>,
}

impl Registry {
    /// Enters a sandbox.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: Ipv4Addr,
        policy: EgressPolicy,
        lost: watch::Receiver<bool>,
    ) -> Lease {
        let tenant = Arc::new(Tenant { policy, questions: Arc::new(Semaphore::new(QUESTIONS_MAX)) });
        self.tenants().insert(address, Arc::clone(&tenant));
        Lease { registry: Arc::clone(self), address, tenant, lost }
    }

    /// Who has an address.
    pub(super) fn tenant(&self, address: Ipv4Addr) -> Option<Arc<Tenant>> {
        self.tenants().get(&address).cloned()
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeMap<Ipv4Addr, Arc<Tenant>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Whether the network does not lead anywhere any more.
    pub(super) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Becomes true when that is so.
    pub(crate) fn lost(&self) -> watch::Receiver<bool> {
        self.lost.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut tenants = self.registry.tenants();
        // The address may have a new tenant.
        if tenants.get(&self.address).is_some_and(|tenant| Arc::ptr_eq(tenant, &self.tenant)) {
            tenants.remove(&self.address);
        }
    }
}
