//! Asynchronous invocations: taking events, and saying what they run when they start.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use wuwei_engine::{AsyncCall, EventCatalog, Runnable};
use wuwei_model::{EventInvokeConfig, InvocationId, State, limits};
use wuwei_queue::{EnqueueError, Lane, RetryPolicy};
use wuwei_store::KnownFunction;

use super::call::{Call, Reply};
use super::configuration::LATEST;
use super::error::ApiError;
use super::lookup;
use super::operations::invoke;
use crate::gateway::Parts;

/// Answers `Invoke` with `InvocationType=Event`: the event is on the disk before the 202.
pub(super) async fn accept(call: &Call) -> Result<Reply, ApiError> {
    let payload = call.payload.clone().unwrap_or_default();
    if payload.len() > limits::ASYNC_PAYLOAD_BYTES_MAX {
        return Err(ApiError::too_large("Invoke", limits::ASYNC_PAYLOAD_BYTES_MAX));
    }
    let (payload, client_context) = invoke::inputs(call)?;
    let version = lookup::version_for_call(&call.parts, call.target()).await?;
    lookup::check_state(&version)?;
    let known = lookup::known(&call.parts, call.key()).await?;
    let known = known.ok_or_else(|| ApiError::function_not_found(&call.target().arn()))?;
    let qualifier = call.target().qualifier.as_deref();
    let config = config_of(&known, qualifier);
    let has_destination = config.is_some_and(|config| config.on_success.is_some() || config.on_failure.is_some());
    if has_destination || version.settings.attachments.dead_letter.is_some() {
        return Err(ApiError::invalid_parameter(
            "InvocationType Event of a function with a dead-letter queue or a destination is not supported yet by wuwei: \
             remove DeadLetterConfig and DestinationConfig",
        ));
    }
    let lane = Lane { function: call.key().clone(), generation: known.function.generation.clone() };
    let event = AsyncCall {
        id: InvocationId::new(&call.request_id),
        qualifier: qualifier.map(str::to_owned),
        invoked_function_arn: call.target().arn(),
        trace_id: call.header("x-amzn-trace-id").map(str::to_owned),
        client_context,
        tenant_id: invoke::tenant(call, &version)?,
        payload,
    };
    call.parts.events.accept(Arc::new(lane), event).await.map_err(|error| refusal(&error))?;
    Ok(Reply::Empty(StatusCode::ACCEPTED))
}

fn refusal(error: &EnqueueError) -> ApiError {
    match error {
        EnqueueError::Backlog => ApiError::too_many_requests("ConcurrentInvocationLimitExceeded"),
        EnqueueError::TooLarge => ApiError::too_large("Invoke", limits::ASYNC_PAYLOAD_BYTES_MAX),
        EnqueueError::DiskFull => ApiError::service("The event was not accepted: the disk is full; try again."),
        EnqueueError::Unwritten => {
            ApiError::service("The event could not be written to the disk; it may run all the same. Try again.")
        }
    }
}

fn config_of<'known>(known: &'known KnownFunction, qualifier: Option<&str>) -> Option<&'known EventInvokeConfig> {
    known.function.event_invoke.get(qualifier.unwrap_or(LATEST))
}

/// The catalog as the engine asks it for events.
pub(crate) struct Catalog(pub(crate) Arc<Parts>);

#[async_trait]
impl EventCatalog for Catalog {
    async fn find(&self, lane: &Lane, qualifier: Option<&str>) -> Runnable {
        let found = self.look_up(lane, qualifier).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(?error, function = lane.function.name, "an event's function cannot be read");
            Runnable::NotNow
        })
    }
}

impl Catalog {
    async fn look_up(&self, lane: &Lane, qualifier: Option<&str>) -> Result<Runnable, ApiError> {
        let known = lookup::known(&self.0, &lane.function).await?;
        let Some(known) = known.filter(|known| known.function.generation == lane.generation) else {
            return Ok(Runnable::Deleted);
        };
        if known.function.reserved_concurrency == Some(0) {
            return Ok(Runnable::NoConcurrency);
        }
        let version = lookup::version_of(&self.0, &known, qualifier.unwrap_or(LATEST)).await?;
        let Some(version) = version else { return Ok(Runnable::Deleted) };
        if version.state != State::Active {
            return Ok(Runnable::NotNow);
        }
        let policy = policy(config_of(&known, qualifier), self.0.options.event_retries);
        Ok(Runnable::Version(version, policy))
    }
}

/// What a function's configuration says, over what holds for all.
fn policy(config: Option<&EventInvokeConfig>, base: RetryPolicy) -> RetryPolicy {
    let retries = config.and_then(|config| config.maximum_retry_attempts).unwrap_or(base.retries);
    let age_max_ms = config.and_then(|config| config.maximum_event_age_s).map(|age_s| u64::from(age_s) * 1_000);
    RetryPolicy { retries, age_max_ms: age_max_ms.unwrap_or(base.age_max_ms), ..base }
}

#[cfg(test)]
mod tests {
    use super::{policy, refusal};
    use wuwei_model::EventInvokeConfig;
    use wuwei_queue::{EnqueueError, RetryPolicy};

    #[test]
    fn what_a_function_does_not_say_is_as_aws_has_it() {
        let base = RetryPolicy::default();
        assert_eq!(policy(None, base), base);
        let config = EventInvokeConfig { maximum_retry_attempts: Some(0), ..EventInvokeConfig::default() };
        assert_eq!(policy(Some(&config), base), RetryPolicy { retries: 0, ..base });
        let config = EventInvokeConfig { maximum_event_age_s: Some(60), ..EventInvokeConfig::default() };
        assert_eq!(policy(Some(&config), base), RetryPolicy { age_max_ms: 60_000, ..base });
    }

    #[test]
    fn an_event_that_is_not_taken_says_why() {
        let check = |error, name| assert_eq!(refusal(&error).name(), name);
        check(EnqueueError::Backlog, "TooManyRequestsException");
        check(EnqueueError::TooLarge, "RequestTooLargeException");
        check(EnqueueError::DiskFull, "ServiceException");
        check(EnqueueError::Unwritten, "ServiceException");
    }
}
