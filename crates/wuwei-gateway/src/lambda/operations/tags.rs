//! `TagResource`, `UntagResource` and `ListTags`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::{lookup, tags};
use super::{change, no_function};

pub(super) async fn add(call: &Call) -> Result<Reply, ApiError> {
    check_resource(call)?;
    let added = tags::read(&call.members)?;
    if added.is_empty() {
        return Err(ApiError::invalid_parameter("An error occurred and the request cannot be processed."));
    }
    change(call, &no_function(call), |function| {
        function.tags.extend(added.clone());
        tags::check_count(&function.tags)
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(call: &Call) -> Result<Reply, ApiError> {
    check_resource(call)?;
    let keys: Vec<&str> =
        call.members.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    change(call, &no_function(call), |function| {
        function.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    check_resource(call)?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let mut members = Map::new();
    members.insert("Tags".to_owned(), json!(function.tags));
    Ok(Reply::Members(members))
}

/// Only functions can have tags: of what else could, there is none here.
fn check_resource(call: &Call) -> Result<(), ApiError> {
    let Some(target) = &call.target else {
        return Err(ApiError::not_found("The resource you requested does not exist."));
    };
    match target.qualifier {
        Some(_) => Err(ApiError::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
        None => Ok(()),
    }
}
