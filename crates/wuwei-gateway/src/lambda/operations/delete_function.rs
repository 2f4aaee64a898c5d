//! `DeleteFunction`: a function with all that belongs to it, or one version.

use http::StatusCode;
use wuwei_engine::FunctionConcurrency;
use wuwei_model::Version;
use wuwei_store::StoreError;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::lookup::{Qualifier, read_qualifier};
use super::super::provision;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let functions = call.parts.store.functions();
    let key = call.key();
    match call.target().qualifier.as_deref().map(|qualifier| read_qualifier(Some(qualifier))) {
        None => {
            // What was kept for it is everybody's again.
            let _turn = call.parts.concurrency.lock().await;
            if !functions.delete(key).await? {
                return Err(ApiError::function_not_found(&key.arn()));
            }
            call.parts.engine.keep_concurrency(key, FunctionConcurrency::default());
            call.parts.engine.retire(key);
            // What is left of it goes at the next start, or with the next function of this name.
            if let Err(error) = call.parts.store.egress().remove(key).await {
                tracing::error!(%error, function = key.name, "remove the egress policy of a deleted function");
            }
            // AWS keeps the log group until someone deletes it; there is no API for that here yet, and the next
            // function of this name may be somebody else's.
            if let Err(error) = call.parts.recorder.forget(key).await {
                tracing::error!(%error, function = key.name, "remove the log of a deleted function");
            }
        }
        Some(Qualifier::Latest) => {
            return Err(ApiError::invalid_parameter(
                "$LATEST version cannot be deleted without deleting the function.",
            ));
        }
        Some(Qualifier::Name(_)) => {
            return Err(ApiError::invalid_parameter("Deletion of aliases is not currently supported."));
        }
        Some(Qualifier::Number(number)) => {
            if functions.get(key).await?.is_none() {
                return Err(ApiError::function_not_found(&call.target().arn()));
            }
            // Deleting a version that is not there succeeds at AWS too.
            let _turn = call.parts.concurrency.lock().await;
            match functions.delete_version(key, number).await {
                Ok(_was_there) => {}
                Err(StoreError::VersionInUse { aliases }) => {
                    return Err(ApiError::conflict(format!(
                        "Unable to delete version because the following aliases reference it: [{}]",
                        aliases.join(", ")
                    )));
                }
                Err(error) => return Err(error.into()),
            }
            call.parts.engine.retire_version(key, Version::Published(number));
            provision::apply(&call.parts, key).await?;
        }
    }
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}
