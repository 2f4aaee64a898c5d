//! Provisioned concurrency: `Put…`, `Get…`, `Delete…` and `ListProvisionedConcurrencyConfigs`.

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::{ProvisionedConcurrency, Version};
use wuwei_store::{AccountUsage, Function};

use super::super::call::{Call, Reply};
use super::super::configuration::timestamp;
use super::super::error::ApiError;
use super::super::lookup::{self, Qualifier, read_qualifier};
use super::super::marker::{Position, page_of, page_size};
use super::super::provision;
use super::concurrency::unreserved_minimum;
use super::{change, no_function, now_ms};

const PUBLISHED_ONLY: &str = "The function resource provided must be an alias or a published version.";

pub(super) async fn put(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = qualifier_of(call).map_err(|_latest| {
        ApiError::invalid_parameter(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        )
    })?;
    let requested = call.number("ProvisionedConcurrentExecutions").and_then(|number| u32::try_from(number).ok());
    let requested = requested.unwrap_or_default();
    let _turn = call.parts.concurrency.lock().await;
    check_is_there(call, qualifier).await?;
    let key = call.key();
    let usage = call.parts.store.functions().usage(&key.account, &key.region).await?;
    let config = ProvisionedConcurrency { requested, modified_ms: now_ms() };
    change(call, &no_function(call), |function| {
        if function.latest.settings.isolates_tenants {
            return Err(ApiError::invalid_parameter(
                "Provisioned concurrency is not supported for functions with tenancy configuration.",
            ));
        }
        check_overlap(function, qualifier)?;
        check_room(call, function, qualifier, requested, &usage)?;
        function.provisioned_concurrency.insert(qualifier.to_owned(), config);
        Ok(())
    })
    .await?;
    provision::apply(&call.parts, key).await?;
    Ok(Reply::Members(Map::from_iter([
        ("RequestedProvisionedConcurrentExecutions".to_owned(), json!(requested)),
        ("AvailableProvisionedConcurrentExecutions".to_owned(), json!(0)),
        ("AllocatedProvisionedConcurrentExecutions".to_owned(), json!(0)),
        ("Status".to_owned(), json!("IN_PROGRESS")),
        ("LastModified".to_owned(), json!(timestamp(config.modified_ms))),
    ])))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = qualifier_of(call)?;
    check_is_there(call, qualifier).await?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let config = function.provisioned_concurrency.get(qualifier).ok_or_else(ApiError::no_provisioned_concurrency)?;
    Ok(Reply::Members(members(call, &function, qualifier, config).await?))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = qualifier_of(call)?;
    let _turn = call.parts.concurrency.lock().await;
    check_is_there(call, qualifier).await?;
    change(call, &no_function(call), |function| {
        function.provisioned_concurrency.remove(qualifier);
        Ok(())
    })
    .await?;
    provision::apply(&call.parts, call.key()).await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let after = Position::decode(call.text("Marker"))?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let size = page_size(call.number("MaxItems"));
    let (page, next) = page_of(function.provisioned_concurrency.iter(), after.as_ref(), size);
    let mut items: Vec<Value> = Vec::new();
    for (qualifier, config) in page {
        let mut item = members(call, &function, qualifier, config).await?;
        item.insert("FunctionArn".to_owned(), json!(call.key().qualified_arn(qualifier)));
        items.push(item.into());
    }
    let mut answer = Map::new();
    answer.insert("ProvisionedConcurrencyConfigs".to_owned(), items.into());
    if let Some(next) = next {
        answer.insert("NextMarker".to_owned(), next.into());
    }
    Ok(Reply::Members(answer))
}

/// The version or alias that a call names.
fn qualifier_of(call: &Call) -> Result<&str, ApiError> {
    let qualifier = call.target().qualifier.as_deref();
    match read_qualifier(qualifier) {
        Qualifier::Latest => Err(ApiError::invalid_parameter(PUBLISHED_ONLY)),
        Qualifier::Number(_) | Qualifier::Name(_) => Ok(qualifier.unwrap_or_default()),
    }
}

/// The version is there; or the alias, and what it leads to is published.
async fn check_is_there(call: &Call, qualifier: &str) -> Result<(), ApiError> {
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let missing_alias = || ApiError::not_found(format!("Cannot find alias arn: {}", call.target().arn()));
    match read_qualifier(Some(qualifier)) {
        Qualifier::Latest => Err(ApiError::invalid_parameter(PUBLISHED_ONLY)),
        Qualifier::Number(_) => lookup::version(&call.parts, call.target()).await.map(drop),
        Qualifier::Name(name) => match function.aliases.get(name).ok_or_else(missing_alias)?.version {
            Version::Published(_) => Ok(()),
            Version::Latest => Err(ApiError::invalid_parameter(
                "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
            )),
        },
    }
}

/// A version is provisioned by itself or by an alias, not by both.
fn check_overlap(function: &Function, qualifier: &str) -> Result<(), ApiError> {
    let configs = &function.provisioned_concurrency;
    match read_qualifier(Some(qualifier)) {
        Qualifier::Latest => Ok(()),
        Qualifier::Number(number) => {
            let is_pointed_at = |(name, alias): (&String, &wuwei_model::Alias)| {
                alias.version == Version::Published(number) && configs.contains_key(name)
            };
            if function.aliases.iter().any(is_pointed_at) {
                return Err(ApiError::conflict("Version is pointed by a Provisioned Concurrency alias"));
            }
            Ok(())
        }
        Qualifier::Name(name) => {
            let version = function.aliases.get(name).map(|alias| alias.version.to_string());
            if version.is_some_and(|version| configs.contains_key(&version)) {
                return Err(ApiError::conflict(
                    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
                ));
            }
            Ok(())
        }
    }
}

fn check_room(
    call: &Call,
    function: &Function,
    qualifier: &str,
    requested: u32,
    usage: &AccountUsage,
) -> Result<(), ApiError> {
    let others = function.provisioned_concurrency.iter().filter(|(other, _)| *other != qualifier);
    let total = others.map(|(_, config)| config.requested).fold(requested, u32::saturating_add);
    if let Some(reserved) = function.reserved_concurrency {
        if total > reserved {
            return Err(ApiError::invalid_parameter(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for \
                 function",
            ));
        }
        return Ok(());
    }
    let limit = call.parts.engine.account_concurrency();
    let left = limit.saturating_sub(usage.guaranteed_to_others(&call.key().name));
    if total > left {
        return Err(ApiError::invalid_parameter(format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{left}]."
        )));
    }
    let minimum = unreserved_minimum(limit);
    if left - total < minimum {
        return Err(ApiError::invalid_parameter(format!(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
             minimum value of [{minimum}]."
        )));
    }
    Ok(())
}

async fn members(
    call: &Call,
    function: &Function,
    qualifier: &str,
    config: &ProvisionedConcurrency,
) -> Result<Map<String, Value>, ApiError> {
    let (mut allocated, mut available, mut failure) = (0, 0, None);
    for (number, count) in provision::shares(function, qualifier, config.requested) {
        let Some(version) = call.parts.store.functions().version(call.key(), number).await? else { continue };
        let found = call.parts.engine.provision_of(&version);
        allocated += found.allocated.min(count);
        available += found.available.min(count);
        failure = failure.or(found.failure);
    }
    let status = match (available >= config.requested, &failure) {
        (true, _) => "READY",
        (false, Some(_)) => "FAILED",
        (false, None) => "IN_PROGRESS",
    };
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("RequestedProvisionedConcurrentExecutions", json!(config.requested));
    set("AvailableProvisionedConcurrentExecutions", json!(available));
    set("AllocatedProvisionedConcurrentExecutions", json!(allocated));
    set("Status", json!(status));
    if let Some(reason) = failure.filter(|_| status == "FAILED") {
        set("StatusReason", json!(reason));
    }
    set("LastModified", json!(timestamp(config.modified_ms)));
    Ok(members)
}
