//! `GetFunction` and `GetFunctionConfiguration`.

use serde_json::{Map, Value, json};
use wuwei_model::FunctionVersion;

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{code, lookup};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let version = lookup::version(&call.parts, call.target()).await?;
    let location = code::location(call, &version);
    let mut members = Map::new();
    members.insert("Configuration".to_owned(), shown(call, &version).into());
    members.insert("Code".to_owned(), json!({ "RepositoryType": "S3", "Location": location }));
    // Gone by now, it has neither.
    if let Some((function, _)) = lookup::function(&call.parts, call.key()).await? {
        if !function.tags.is_empty() {
            members.insert("Tags".to_owned(), json!(function.tags));
        }
        if let Some(reserved) = function.reserved_concurrency {
            members.insert("Concurrency".to_owned(), json!({ "ReservedConcurrentExecutions": reserved }));
        }
    }
    Ok(Reply::Members(members))
}

pub(super) async fn run_configuration(call: &Call) -> Result<Reply, ApiError> {
    let version = lookup::version(&call.parts, call.target()).await?;
    Ok(Reply::Members(shown(call, &version)))
}

/// With the ARN as the caller meant it: of the function, of the version, or of the alias.
fn shown(call: &Call, version: &FunctionVersion) -> Map<String, Value> {
    let mut members = configuration(version, View::FULL);
    members.insert("FunctionArn".to_owned(), call.target().arn().into());
    members
}
