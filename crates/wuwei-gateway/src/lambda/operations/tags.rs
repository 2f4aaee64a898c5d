//! `TagResource`, `UntagResource` and `ListTags`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::CodeSigningConfig;
use wuwei_store::{Revision, StoreError};

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::{code_signing, lookup, tags};
use super::{CHANGE_ATTEMPTS, change, no_function};

pub(super) async fn add(call: &Call) -> Result<Reply, ApiError> {
    let added = tags::read(&call.members)?;
    if added.is_empty() {
        return Err(ApiError::invalid_parameter("An error occurred and the request cannot be processed."));
    }
    if names_code_signing(call) {
        return change_code_signing(call, "TagResource", |known| {
            known.extend(added.clone());
            tags::check_count(known)
        })
        .await;
    }
    check_resource(call)?;
    change(call, &no_function(call), |function| {
        function.tags.extend(added.clone());
        tags::check_count(&function.tags)
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(call: &Call) -> Result<Reply, ApiError> {
    let keys: Vec<&str> =
        call.members.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if names_code_signing(call) {
        return change_code_signing(call, "UntagResource", |known| {
            known.retain(|key, _| !keys.contains(&key.as_str()));
            Ok(())
        })
        .await;
    }
    check_resource(call)?;
    change(call, &no_function(call), |function| {
        function.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    if names_code_signing(call) {
        let (config, _) = named_config(call).await?;
        return Ok(Reply::Members(Map::from_iter([("Tags".to_owned(), json!(config.tags))])));
    }
    check_resource(call)?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let mut members = Map::new();
    members.insert("Tags".to_owned(), json!(function.tags));
    Ok(Reply::Members(members))
}

fn names_code_signing(call: &Call) -> bool {
    call.text("Resource").is_some_and(|arn| arn.contains(":code-signing-config:"))
}

async fn named_config(call: &Call) -> Result<(CodeSigningConfig, Revision), ApiError> {
    let arn = call.text("Resource").unwrap_or_default();
    code_signing::find(call, arn).await?.ok_or_else(|| code_signing::missing(arn))
}

async fn change_code_signing(
    call: &Call,
    operation: &str,
    change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<Reply, ApiError> {
    code_signing::check_may_change(call, operation)?;
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut config, revision) = named_config(call).await?;
        change(&mut config.tags)?;
        match call.parts.store.code_signing().put(&config, Some(revision)).await {
            Ok(_revision) => return Ok(Reply::Empty(StatusCode::NO_CONTENT)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("The tags are being changed by others; try again."))
}

/// Only functions and code signing configurations have tags: of what else could, there is none here.
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
