//! The instances of one function version, and the calls that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use wuwei_model::FunctionVersion;

use crate::lease::Berth;
use crate::starting::StartFailure;

/// Names a pool for as long as it has calls or instances. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PoolId(pub(crate) u64);

/// Names a waiting call or a stay in the idle stack. Grows; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// Instances of one function version at one revision, and for one tenant, where the function keeps them apart.
pub(crate) struct Pool {
    pub(crate) function: Arc<FunctionVersion>,
    pub(crate) tenant: Option<String>,
    /// Least recently used first; calls take from the back.
    pub(crate) idle: VecDeque<Idle>,
    /// First come, first served.
    pub(crate) waiters: VecDeque<Waiter>,
    /// Instances being started.
    pub(crate) starting: usize,
    /// Instances that run a call.
    pub(crate) busy: usize,
    /// Starts that wait for memory (a surplus is dropped when its turn comes).
    pub(crate) queued_starts: usize,
    /// No longer found by new calls; its instances end when its last calls do.
    pub(crate) retired: bool,
    /// Instances that are kept initialised, whether calls come or not.
    pub(crate) provisioned: usize,
    /// Why no more of them are started.
    pub(crate) provision_failure: Option<String>,
}

/// An instance that waits for a call.
pub(crate) struct Idle {
    pub(crate) berth: Arc<Berth>,
    pub(crate) since: Instant,
    pub(crate) ticket: Ticket,
    /// Whether it has a runtime; if not, the next call starts one.
    pub(crate) initialised: bool,
}

/// A call that waits for an instance.
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    pub(crate) has_own_start: bool,
    pub(crate) deliver: oneshot::Sender<Delivery>,
}

/// How a call's wait ends.
pub(crate) enum Delivery {
    /// An instance, counted as busy; with the duration of its initialisation when it comes fresh from a successful one.
    Instance(Arc<Berth>, Option<Duration>),
    /// The instance that was started for this call could not be had.
    Failed(StartFailure),
    /// The engine is shutting down.
    Closed,
}

/// What to do with a call whose patience ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    /// It no longer waits.
    Withdrawn,
    /// It still waits: an instance that is being started will serve it.
    Expected,
    /// It had been served already; the delivery is in its channel.
    Delivered,
}

impl Pool {
    pub(crate) fn new(function: Arc<FunctionVersion>, tenant: Option<String>) -> Self {
        Self {
            function,
            tenant,
            idle: VecDeque::new(),
            waiters: VecDeque::new(),
            starting: 0,
            busy: 0,
            queued_starts: 0,
            retired: false,
            provisioned: 0,
            provision_failure: None,
        }
    }

    pub(crate) fn memory_mb(&self) -> u32 {
        self.function.settings.memory_mb
    }

    /// Whether nothing is left that would need the pool.
    pub(crate) fn is_drained(&self) -> bool {
        let is_kept = self.provisioned > 0;
        !is_kept && self.idle.is_empty() && self.waiters.is_empty() && self.starting == 0 && self.busy == 0
    }

    /// Instances to be started so that there are as many as are provisioned.
    pub(crate) fn lacking(&self) -> usize {
        match self.provision_failure {
            Some(_) => 0,
            None => self.provisioned.saturating_sub(self.idle.len() + self.busy + self.starting),
        }
    }

    /// Whether an idle instance may go: there are more than are provisioned.
    pub(crate) fn has_surplus(&self) -> bool {
        !self.idle.is_empty() && self.idle.len() + self.busy > self.provisioned
    }

    /// Takes the most recently used idle instance, those before others that need no initialisation.
    pub(crate) fn pop_idle(&mut self) -> Option<Idle> {
        match self.idle.iter().rposition(|idle| idle.initialised) {
            Some(position) => self.idle.remove(position),
            None => self.idle.pop_back(),
        }
    }

    /// Starts that its waiting calls lack.
    pub(crate) fn missing_starts(&self) -> usize {
        self.waiters.len().saturating_sub(self.starting + self.queued_starts)
    }

    /// Picks the call whose failure a new start would be: the first without a start of its own.
    pub(crate) fn claim_start(&mut self) -> Option<Ticket> {
        let waiter = self.waiters.iter_mut().find(|waiter| !waiter.has_own_start)?;
        waiter.has_own_start = true;
        Some(waiter.ticket)
    }

    /// A start ended without serving the call it was made for, should that call still wait.
    pub(crate) fn disown_start(&mut self, owner: Option<Ticket>) {
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| Some(waiter.ticket) == owner) {
            waiter.has_own_start = false;
        }
    }

    /// Hands an instance to the call that has waited longest; false when none waits.
    pub(crate) fn serve_first_waiter(&mut self, berth: &Arc<Berth>, init: Option<Duration>) -> bool {
        while let Some(waiter) = self.waiters.pop_front() {
            if waiter.deliver.send(Delivery::Instance(Arc::clone(berth), init)).is_ok() {
                return true;
            }
        }
        false
    }

    /// Takes a call out of the queue by its ticket.
    pub(crate) fn remove_waiter(&mut self, ticket: Ticket) -> Option<Waiter> {
        let position = self.waiters.iter().position(|waiter| waiter.ticket == ticket)?;
        self.waiters.remove(position)
    }

    /// Takes a call out of the queue, unless a start under way will reach it and it is not `forced` out.
    pub(crate) fn withdraw(&mut self, ticket: Ticket, forced: bool) -> Withdrawal {
        match self.waiters.iter().position(|waiter| waiter.ticket == ticket) {
            None => Withdrawal::Delivered,
            Some(position) if position < self.starting && !forced => Withdrawal::Expected,
            Some(position) => {
                self.waiters.remove(position);
                Withdrawal::Withdrawn
            }
        }
    }
}
