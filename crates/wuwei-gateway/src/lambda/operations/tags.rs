//! `TagResource`, `UntagResource` and `ListTags`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::service::Access;
use wuwei_model::{CodeSigningConfig, EventSourceMapping};
use wuwei_store::{Revision, StoreError};

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::{code_signing, lookup, tags};
use super::{CHANGE_ATTEMPTS, change, event_sources, no_function};

const NO_RESOURCE: &str = "The resource you requested does not exist.";

pub(super) async fn add(call: &Call) -> Result<Reply, ApiError> {
    let added = tags::read(&call.members)?;
    if added.is_empty() {
        return Err(ApiError::invalid_parameter("An error occurred and the request cannot be processed."));
    }
    let extend = |known: &mut BTreeMap<String, String>| {
        known.extend(added.clone());
        tags::check_count(known)
    };
    match kind(call) {
        Kind::CodeSigning => return change_code_signing(call, "TagResource", extend).await,
        Kind::EventSource => return change_event_source(call, "TagResource", extend).await,
        Kind::Other => {}
    }
    check_resource(call)?;
    change(call, &no_function(call), |function| extend(&mut function.tags)).await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(call: &Call) -> Result<Reply, ApiError> {
    let keys: Vec<&str> =
        call.members.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let drop_keys = |known: &mut BTreeMap<String, String>| {
        known.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    };
    match kind(call) {
        Kind::CodeSigning => return change_code_signing(call, "UntagResource", drop_keys).await,
        Kind::EventSource => return change_event_source(call, "UntagResource", drop_keys).await,
        Kind::Other => {}
    }
    check_resource(call)?;
    change(call, &no_function(call), |function| drop_keys(&mut function.tags)).await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    match kind(call) {
        Kind::CodeSigning => return Ok(shown(&named_config(call).await?.0.tags)),
        Kind::EventSource => return Ok(shown(&named_mapping(call, "ListTags", Access::Read).await?.0.tags)),
        Kind::Other => {}
    }
    check_resource(call)?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    Ok(shown(&function.tags))
}

/// Kinds of resources, as far as they have tags.
enum Kind {
    CodeSigning,
    EventSource,
    /// A function, or what has none.
    Other,
}

fn kind(call: &Call) -> Kind {
    match call.text("Resource").unwrap_or_default() {
        arn if arn.contains(":code-signing-config:") => Kind::CodeSigning,
        arn if arn.contains(":event-source-mapping:") => Kind::EventSource,
        _other => Kind::Other,
    }
}

fn shown(tags: &BTreeMap<String, String>) -> Reply {
    Reply::Members(Map::from_iter([("Tags".to_owned(), json!(tags))]))
}

async fn named_mapping(
    call: &Call,
    operation: &str,
    access: Access,
) -> Result<(EventSourceMapping, Revision), ApiError> {
    let found = event_sources::of_arn(call, call.text("Resource").unwrap_or_default(), operation, access).await?;
    found.ok_or_else(|| ApiError::not_found(NO_RESOURCE))
}

async fn change_event_source(
    call: &Call,
    operation: &str,
    change: impl Fn(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<Reply, ApiError> {
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut mapping, revision) = named_mapping(call, operation, Access::Write).await?;
        change(&mut mapping.tags)?;
        match call.parts.store.event_sources().put(&mapping, Some(revision)).await {
            Ok(_revision) => return Ok(Reply::Empty(StatusCode::NO_CONTENT)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("The tags are being changed by others; try again."))
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

/// Of what else could have tags, there is none here.
fn check_resource(call: &Call) -> Result<(), ApiError> {
    let Some(target) = &call.target else {
        return Err(ApiError::not_found(NO_RESOURCE));
    };
    match target.qualifier {
        Some(_) => Err(ApiError::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        )),
        None => Ok(()),
    }
}
