//! Smaller settings: recursion, runtime management, scaling.

use serde_json::{Map, Value, json};
use wuwei_model::{RecursiveLoop, RuntimeUpdate};

use super::super::call::{Call, Reply};
use super::super::configuration::{LATEST, runtime_version_arn};
use super::super::error::ApiError;
use super::super::lookup::{self, Qualifier, read_qualifier};
use super::{change, no_function};

pub(super) async fn put_recursion(call: &Call) -> Result<Reply, ApiError> {
    let wanted: RecursiveLoop = call.text("RecursiveLoop").and_then(|text| text.parse().ok()).unwrap_or_default();
    change(call, &no_function(call), |function| {
        function.recursive_loop = wanted;
        Ok(())
    })
    .await?;
    Ok(recursion(wanted))
}

pub(super) async fn get_recursion(call: &Call) -> Result<Reply, ApiError> {
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    Ok(recursion(function.recursive_loop))
}

fn recursion(recursive_loop: RecursiveLoop) -> Reply {
    Reply::Members(Map::from_iter([("RecursiveLoop".to_owned(), json!(recursive_loop.as_str()))]))
}

pub(super) async fn put_runtime_management(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = version_qualifier(call)?;
    let version = lookup::version(&call.parts, call.target()).await?;
    let present = runtime_version_arn(&call.key().region, version.settings.runtime.as_str());
    let update = match (call.text("UpdateRuntimeOn"), call.text("RuntimeVersionArn")) {
        (Some("Manual"), None) => {
            return Err(ApiError::invalid_parameter("RuntimeVersionArn is required when UpdateRuntimeOn is Manual."));
        }
        (Some("Manual"), Some(arn)) if arn == present => RuntimeUpdate::Manual(present),
        (Some("Manual"), Some(_other)) => {
            return Err(ApiError::invalid_parameter(format!(
                "RuntimeVersionArn names a build that this server does not have: its own is {present}"
            )));
        }
        (Some(_) | None, Some(_)) => {
            return Err(ApiError::invalid_parameter(
                "RuntimeVersionArn is only supported when UpdateRuntimeOn is Manual.",
            ));
        }
        (Some("FunctionUpdate"), None) => RuntimeUpdate::FunctionUpdate,
        (Some(_) | None, None) => RuntimeUpdate::Auto,
    };
    change(call, &no_function(call), |function| {
        match &update {
            RuntimeUpdate::Auto => {
                function.runtime_updates.remove(&qualifier);
            }
            RuntimeUpdate::FunctionUpdate | RuntimeUpdate::Manual(_) => {
                function.runtime_updates.insert(qualifier.clone(), update.clone());
            }
        }
        Ok(())
    })
    .await?;
    Ok(runtime_management(call, &qualifier, &update))
}

pub(super) async fn get_runtime_management(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = version_qualifier(call)?;
    lookup::version(&call.parts, call.target()).await?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let update = function.runtime_updates.get(&qualifier).cloned().unwrap_or_default();
    Ok(runtime_management(call, &qualifier, &update))
}

/// `$LATEST` or the number of a version: aliases have no runtime of their own.
fn version_qualifier(call: &Call) -> Result<String, ApiError> {
    match read_qualifier(call.target().qualifier.as_deref()) {
        Qualifier::Latest => Ok(LATEST.to_owned()),
        Qualifier::Number(number) => Ok(number.to_string()),
        Qualifier::Name(_) => Err(ApiError::function_not_found(&call.target().arn())),
    }
}

fn runtime_management(call: &Call, qualifier: &str, update: &RuntimeUpdate) -> Reply {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("UpdateRuntimeOn", json!(update.as_str()));
    set("FunctionArn", json!(call.key().qualified_arn(qualifier)));
    match update {
        RuntimeUpdate::Auto | RuntimeUpdate::FunctionUpdate => {}
        RuntimeUpdate::Manual(arn) => {
            set("RuntimeVersionArn", json!(arn));
        }
    }
    Reply::Members(members)
}

/// Only functions of capacity providers scale by environments, and there are none of them here.
pub(super) async fn scaling(call: &Call) -> Result<Reply, ApiError> {
    lookup::version(&call.parts, call.target()).await?;
    Err(ApiError::invalid_parameter(format!(
        "The function {} has no capacity provider: only functions of capacity providers have a scaling config.",
        call.target().arn()
    )))
}
