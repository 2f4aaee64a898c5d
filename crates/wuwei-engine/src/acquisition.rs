//! A call's way to an instance: the idle one, or the first of those that are freed or started while it waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wuwei_model::FunctionVersion;

use crate::call::InvokeError;
use crate::engine::Shared;
use crate::fleet::Take;
use crate::lease::Lease;
use crate::pool::{Delivery, PoolId, Ticket, Withdrawal};
use crate::starting::{LAUNCH_LIMIT, StartFailure};

/// How long a call waits for memory before it is refused.
pub(crate) const QUEUE_LIMIT: Duration = Duration::from_secs(30);

/// AWS's `Reason` when the account's limit is reached. Also used when this machine's memory is: of AWS's reasons it is
/// the one that says that no more instances can run now; the others speak of request rates and reservations.
pub(crate) const NO_CAPACITY: &str = "ConcurrentInvocationLimitExceeded";

/// AWS's `Reason` when what is reserved for the function is used up.
pub(crate) const RESERVATION_USED_UP: &str = "ReservedFunctionConcurrentInvocationLimitExceeded";

/// What a call has in the end.
pub(crate) enum Acquired {
    /// An instance, with the duration of its initialisation when it was started and comes fresh from it.
    Instance(Lease, Option<Duration>),
    /// The instance that was started for this call could not be had.
    Failed(StartFailure),
}

impl Shared {
    /// Finds or starts an instance. Ends within the limits of queue, launch and initialisation.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        function: &Arc<FunctionVersion>,
        tenant: Option<&str>,
    ) -> Result<Acquired, InvokeError> {
        loop {
            let take = self.with_fleet(|fleet, effects| fleet.take(function, tenant, effects));
            let (lease, init) = match take {
                Take::Idle(pool, berth) => (Lease::open(Arc::clone(self), pool, berth), None),
                Take::Wait(pool, ticket, delivery) => match self.wait(pool, ticket, delivery).await? {
                    Delivery::Instance(berth, init) => (Lease::open(Arc::clone(self), pool, berth), init),
                    Delivery::Failed(failure) => return Ok(Acquired::Failed(failure)),
                    Delivery::Closed => return Err(InvokeError::ShuttingDown),
                },
                Take::NoMemory => return Err(InvokeError::TooManyRequests(NO_CAPACITY)),
                Take::Closed => return Err(InvokeError::ShuttingDown),
            };
            // An instance may have died, or grown too old, while it was idle: that is no fault of this call, which takes another.
            // One that dies before its first event has failed this call, or a runtime that always does would loop.
            if init.is_some() || lease.is_fit() {
                return Ok(Acquired::Instance(lease, init));
            }
        }
    }

    async fn wait(
        self: &Arc<Self>,
        pool: PoolId,
        ticket: Ticket,
        mut delivery: oneshot::Receiver<Delivery>,
    ) -> Result<Delivery, InvokeError> {
        let patience = [(QUEUE_LIMIT, false), (LAUNCH_LIMIT + self.options.init_limit, true)];
        for (limit, forced) in patience {
            if let Ok(delivered) = tokio::time::timeout(limit, &mut delivery).await {
                return delivered.map_err(|_closed| InvokeError::Internal);
            }
            match self.with_fleet(|fleet, _| fleet.withdraw(pool, ticket, forced)) {
                Withdrawal::Withdrawn => return Err(InvokeError::TooManyRequests(NO_CAPACITY)),
                Withdrawal::Delivered => return delivery.await.map_err(|_closed| InvokeError::Internal),
                Withdrawal::Expected => {}
            }
        }
        Err(InvokeError::Internal)
    }
}

#[cfg(test)]
mod tests;
