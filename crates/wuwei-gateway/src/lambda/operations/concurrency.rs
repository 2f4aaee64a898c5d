//! `PutFunctionConcurrency`, `GetFunctionConcurrency` and `DeleteFunctionConcurrency`.

use http::StatusCode;
use serde_json::{Map, json};
use wuwei_model::limits;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::lookup;
use super::super::provision;
use super::{change, no_function};

pub(super) async fn put(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let wanted = call.number("ReservedConcurrentExecutions").and_then(|number| u32::try_from(number).ok());
    let wanted = wanted.unwrap_or_default();
    let _turn = call.parts.concurrency.lock().await;
    let key = call.key();
    let limit = call.parts.engine.account_concurrency();
    let usage = call.parts.store.functions().usage(&key.account, &key.region).await?;
    let left = limit.checked_sub(usage.guaranteed_to_others(&key.name)).and_then(|left| left.checked_sub(wanted));
    change(call, &no_function(call), |function| {
        let provisioned = function.guarantee().provisioned;
        if wanted < provisioned {
            return Err(ApiError::invalid_parameter(format!(
                " ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned \
                 concurrency [{provisioned}]."
            )));
        }
        let minimum = unreserved_minimum(limit);
        if left.is_none_or(|left| left < minimum) {
            return Err(ApiError::invalid_parameter(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                 below its minimum value of [{minimum}]."
            )));
        }
        function.reserved_concurrency = Some(wanted);
        Ok(())
    })
    .await?;
    provision::apply(&call.parts, key).await?;
    let mut members = Map::new();
    members.insert("ReservedConcurrentExecutions".to_owned(), json!(wanted));
    Ok(Reply::Members(members))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let mut members = Map::new();
    if let Some(reserved) = function.reserved_concurrency {
        members.insert("ReservedConcurrentExecutions".to_owned(), json!(reserved));
    }
    Ok(Reply::Members(members))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let _turn = call.parts.concurrency.lock().await;
    change(call, &no_function(call), |function| {
        function.reserved_concurrency = None;
        Ok(())
    })
    .await?;
    provision::apply(&call.parts, call.key()).await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

/// What must be left for functions without a reservation; of a small limit, all but what is kept already.
pub(super) fn unreserved_minimum(limit: u32) -> u32 {
    limits::UNRESERVED_CONCURRENCY_MIN.min(limit)
}
