//! The operations that wuwei has: one line each.

mod create_function;
mod delete_function;
mod function_urls;
mod get_function;
mod invoke;
mod list_functions;
mod list_versions;
pub(super) mod permissions;
mod publish_version;
mod update_code;
mod update_configuration;

use std::future::Future;
use std::pin::Pin;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;
use wuwei_model::{FunctionVersion, LastUpdateStatus, Runtime};
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
    ("AddPermission", |call| Box::pin(permissions::add(call))),
    ("CreateFunction", |call| Box::pin(create_function::run(call))),
    ("CreateFunctionUrlConfig", |call| Box::pin(function_urls::create(call))),
    ("DeleteFunction", |call| Box::pin(delete_function::run(call))),
    ("DeleteFunctionUrlConfig", |call| Box::pin(function_urls::delete(call))),
    ("GetFunction", |call| Box::pin(get_function::run(call))),
    ("GetFunctionConfiguration", |call| Box::pin(get_function::run_configuration(call))),
    ("GetFunctionUrlConfig", |call| Box::pin(function_urls::get(call))),
    ("GetPolicy", |call| Box::pin(permissions::get(call))),
    ("Invoke", |call| Box::pin(invoke::run(call))),
    ("ListFunctionUrlConfigs", |call| Box::pin(function_urls::list(call))),
    ("ListFunctions", |call| Box::pin(list_functions::run(call))),
    ("ListVersionsByFunction", |call| Box::pin(list_versions::run(call))),
    ("PublishVersion", |call| Box::pin(publish_version::run(call))),
    ("RemovePermission", |call| Box::pin(permissions::remove(call))),
    ("UpdateFunctionCode", |call| Box::pin(update_code::run(call))),
    ("UpdateFunctionConfiguration", |call| Box::pin(update_configuration::run(call))),
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
            parts.engine.retire(&function.latest.key);
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
    let functions = call.parts.store.functions();
    for _attempt in 0..CHANGE_ATTEMPTS {
        let found = lookup::function(&call.parts, call.key()).await?;
        let (mut function, revision) = found.ok_or_else(|| ApiError::not_found(missing))?;
        let result = change(&mut function)?;
        match functions.update(&function, revision).await {
            Ok(_revision) => return Ok(result),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::update_in_progress(&call.key().arn()))
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
