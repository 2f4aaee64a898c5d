//! The operations that wuwei has: one line each.

mod account;
mod aliases;
mod code_signing;
mod concurrency;
mod controls;
mod create_function;
mod delete_function;
mod event_invoke;
mod event_sources;
mod function_urls;
mod get_function;
pub(super) mod invoke;
mod invoke_stream;
mod layer_permissions;
mod layers;
mod list_functions;
mod list_versions;
pub(super) mod missing;
pub(super) mod permissions;
mod provisioned;
mod publish_version;
mod tags;
mod update_code;
mod update_configuration;

use std::future::Future;
use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;
use wuwei_model::{FunctionVersion, LastUpdateStatus, Runtime, Version};
use wuwei_store::{Function, Revision, StoreError};

use super::call::{Call, Reply};
use super::configuration::CREATING_REASON;
use super::error::ApiError;
use super::lookup;
use crate::gateway::Parts;

/// How often a change is tried when other writers come first.
const CHANGE_ATTEMPTS: usize = 20;

/// An operation at work.
type Running<'call> = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send + 'call>>;
/// An operation.
type Run = for<'call> fn(&'call Call) -> Running<'call>;

const OPERATIONS: &[(&str, Run)] = &[
    ("AddLayerVersionPermission", |call| Box::pin(layer_permissions::add(call))),
    ("AddPermission", |call| Box::pin(permissions::add(call))),
    ("CreateAlias", |call| Box::pin(aliases::create(call))),
    ("CreateCodeSigningConfig", |call| Box::pin(code_signing::create(call))),
    ("CreateEventSourceMapping", |call| Box::pin(event_sources::create(call))),
    ("CreateFunction", |call| Box::pin(create_function::run(call))),
    ("CreateFunctionUrlConfig", |call| Box::pin(function_urls::create(call))),
    ("DeleteAlias", |call| Box::pin(aliases::delete(call))),
    ("DeleteCodeSigningConfig", |call| Box::pin(code_signing::delete(call))),
    ("DeleteEventSourceMapping", |call| Box::pin(event_sources::delete(call))),
    ("DeleteFunction", |call| Box::pin(delete_function::run(call))),
    ("DeleteFunctionCodeSigningConfig", |call| Box::pin(code_signing::delete_of_function(call))),
    ("DeleteFunctionConcurrency", |call| Box::pin(concurrency::delete(call))),
    ("DeleteFunctionEventInvokeConfig", |call| Box::pin(event_invoke::delete(call))),
    ("DeleteFunctionUrlConfig", |call| Box::pin(function_urls::delete(call))),
    ("DeleteLayerVersion", |call| Box::pin(layers::delete(call))),
    ("DeleteProvisionedConcurrencyConfig", |call| Box::pin(provisioned::delete(call))),
    ("GetAccountSettings", |call| Box::pin(account::run(call))),
    ("GetAlias", |call| Box::pin(aliases::get(call))),
    ("GetCodeSigningConfig", |call| Box::pin(code_signing::get(call))),
    ("GetEventSourceMapping", |call| Box::pin(event_sources::get(call))),
    ("GetFunction", |call| Box::pin(get_function::run(call))),
    ("GetFunctionCodeSigningConfig", |call| Box::pin(code_signing::get_of_function(call))),
    ("GetFunctionConcurrency", |call| Box::pin(concurrency::get(call))),
    ("GetFunctionConfiguration", |call| Box::pin(get_function::run_configuration(call))),
    ("GetFunctionEventInvokeConfig", |call| Box::pin(event_invoke::get(call))),
    ("GetFunctionRecursionConfig", |call| Box::pin(controls::get_recursion(call))),
    ("GetFunctionScalingConfig", |call| Box::pin(controls::scaling(call))),
    ("GetFunctionUrlConfig", |call| Box::pin(function_urls::get(call))),
    ("GetLayerVersion", |call| Box::pin(layers::get(call))),
    ("GetLayerVersionByArn", |call| Box::pin(layers::get_by_arn(call))),
    ("GetLayerVersionPolicy", |call| Box::pin(layer_permissions::get(call))),
    ("GetPolicy", |call| Box::pin(permissions::get(call))),
    ("GetProvisionedConcurrencyConfig", |call| Box::pin(provisioned::get(call))),
    ("GetRuntimeManagementConfig", |call| Box::pin(controls::get_runtime_management(call))),
    ("Invoke", |call| Box::pin(invoke::run(call))),
    ("InvokeWithResponseStream", |call| Box::pin(invoke_stream::run(call))),
    ("ListAliases", |call| Box::pin(aliases::list(call))),
    ("ListCodeSigningConfigs", |call| Box::pin(code_signing::list(call))),
    ("ListEventSourceMappings", |call| Box::pin(event_sources::list(call))),
    ("ListFunctionEventInvokeConfigs", |call| Box::pin(event_invoke::list(call))),
    ("ListFunctionUrlConfigs", |call| Box::pin(function_urls::list(call))),
    ("ListFunctions", |call| Box::pin(list_functions::run(call))),
    ("ListFunctionsByCodeSigningConfig", |call| Box::pin(code_signing::list_functions(call))),
    ("ListLayerVersions", |call| Box::pin(layers::list_versions(call))),
    ("ListLayers", |call| Box::pin(layers::list(call))),
    ("ListProvisionedConcurrencyConfigs", |call| Box::pin(provisioned::list(call))),
    ("ListTags", |call| Box::pin(tags::list(call))),
    ("ListVersionsByFunction", |call| Box::pin(list_versions::run(call))),
    ("PublishLayerVersion", |call| Box::pin(layers::publish(call))),
    ("PublishVersion", |call| Box::pin(publish_version::run(call))),
    ("PutFunctionCodeSigningConfig", |call| Box::pin(code_signing::put_of_function(call))),
    ("PutFunctionConcurrency", |call| Box::pin(concurrency::put(call))),
    ("PutFunctionEventInvokeConfig", |call| Box::pin(event_invoke::put(call))),
    ("PutFunctionRecursionConfig", |call| Box::pin(controls::put_recursion(call))),
    ("PutFunctionScalingConfig", |call| Box::pin(controls::scaling(call))),
    ("PutProvisionedConcurrencyConfig", |call| Box::pin(provisioned::put(call))),
    ("PutRuntimeManagementConfig", |call| Box::pin(controls::put_runtime_management(call))),
    ("RemoveLayerVersionPermission", |call| Box::pin(layer_permissions::remove(call))),
    ("RemovePermission", |call| Box::pin(permissions::remove(call))),
    ("TagResource", |call| Box::pin(tags::add(call))),
    ("UntagResource", |call| Box::pin(tags::remove(call))),
    ("UpdateAlias", |call| Box::pin(aliases::update(call))),
    ("UpdateCodeSigningConfig", |call| Box::pin(code_signing::update(call))),
    ("UpdateEventSourceMapping", |call| Box::pin(event_sources::update(call))),
    ("UpdateFunctionCode", |call| Box::pin(update_code::run(call))),
    ("UpdateFunctionConfiguration", |call| Box::pin(update_configuration::run(call))),
    ("UpdateFunctionEventInvokeConfig", |call| Box::pin(event_invoke::update(call))),
    ("UpdateFunctionUrlConfig", |call| Box::pin(function_urls::update(call))),
];

/// The function of an operation, if wuwei has it.
pub(super) fn find(name: &str) -> Option<Run> {
    OPERATIONS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// Refuses a runtime that the host does not have.
fn check_runtime(parts: &Parts, runtime: &Runtime) -> Result<(), ApiError> {
    if parts.engine.supports(runtime) {
        return Ok(());
    }
    let found: Vec<&str> = parts.options.runtimes.iter().map(|info| info.identifier.as_str()).collect();
    Err(ApiError::invalid_parameter(format!(
        "Runtime {runtime} is not available on this server: install its interpreter on the machine and restart wuwei, \
         or use one of [{}]",
        found.join(", ")
    )))
}

/// Marks a change of `$LATEST` that is about to be stored.
fn mark_changed(latest: &mut FunctionVersion) {
    // Later than the change before, also within one millisecond: publishing compares these times.
    latest.last_modified_ms = now_ms().max(latest.last_modified_ms + 1);
    latest.revision_id = Uuid::new_v4().to_string();
    latest.last_update_status = LastUpdateStatus::InProgress;
    latest.last_update_reason = Some(CREATING_REASON.to_owned());
}

/// Stores a change, unless another one came first.
async fn store_change(parts: &Parts, function: &Function, expected: Revision) -> Result<(), ApiError> {
    match parts.store.functions().update(function, expected).await {
        Ok(_revision) => {
            parts.engine.retire_version(&function.latest.key, Version::Latest);
            Ok(())
        }
        Err(StoreError::Conflict) => Err(ApiError::update_in_progress(&function.latest.key.arn())),
        Err(error) => Err(error.into()),
    }
}

/// Changes what belongs to a function beside its versions; once more when another writer was first.
///
/// `missing` is said when the function is not there.
async fn change<T>(
    call: &Call,
    missing: &str,
    mut change: impl FnMut(&mut Function) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    for _attempt in 0..CHANGE_ATTEMPTS {
        let found = lookup::function(&call.parts, call.key()).await?;
        let (mut function, revision) = found.ok_or_else(|| ApiError::not_found(missing))?;
        let result = change(&mut function)?;
        if try_store(&call.parts, &function, revision).await? {
            return Ok(result);
        }
    }
    Err(ApiError::update_in_progress(&call.key().arn()))
}

/// Stores what belongs to a function beside its versions; false when another writer was first.
async fn try_store(parts: &Parts, function: &Function, expected: Revision) -> Result<bool, ApiError> {
    match parts.store.functions().update(function, expected).await {
        Ok(_revision) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Words for a call about a function that is not there.
fn no_function(call: &Call) -> String {
    format!("Function not found: {}", call.key().arn())
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::mark_changed;
    use crate::lambda::settings::tests::version;
    use wuwei_model::LastUpdateStatus;

    #[test]
    fn every_change_is_later_and_has_a_revision_of_its_own() {
        let mut latest = version();
        mark_changed(&mut latest);
        let first = latest.clone();
        mark_changed(&mut latest);
        assert!(latest.last_modified_ms > first.last_modified_ms);
        assert_ne!(latest.revision_id, first.revision_id);
        assert_eq!(latest.last_update_status, LastUpdateStatus::InProgress);
    }
}
