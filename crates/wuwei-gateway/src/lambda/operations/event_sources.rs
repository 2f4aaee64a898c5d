//! Event source mappings: kept and checked. Nothing reads event sources yet.

use serde_json::{Map, Value};
use uuid::Uuid;
use wuwei_model::service::Access;
use wuwei_model::{EventSourceKind, EventSourceMapping};
use wuwei_store::{Revision, StoreError};

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::event_sources::{self, Doing, same_source, shown};
use super::super::marker::Position;
use super::super::target::Target;
use super::super::{lookup, tags};
use super::{CHANGE_ATTEMPTS, now_ms};
use crate::auth::permits;

/// Most mappings of a page: AWS's limit.
const PAGE_MAX: usize = 100;
/// Mappings that are read at a time.
const MAPPINGS_AT_A_TIME: usize = 200;
const NO_RESOURCE: &str = "The resource you requested does not exist.";

pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let target = call.target();
    let (kind, settings) = event_sources::of_new(&call.members)?;
    let tags = tags::of_new(&call.members)?;
    lookup::version(&call.parts, target).await?;
    check_enabled(call, true)?;
    let mapping = EventSourceMapping {
        account: target.key.account.clone(),
        region: target.key.region.clone(),
        id: Uuid::new_v4().to_string(),
        function: target.key.name.clone(),
        qualifier: target.qualifier.clone(),
        settings,
        modified_ms: now_ms(),
        tags,
    };
    let mappings = call.parts.store.event_sources();
    let _turn = mappings.lock().await;
    check_only(call, kind, &mapping).await?;
    mappings.put(&mapping, None).await?;
    Ok(Reply::Members(shown(&mapping, Doing::Creating)))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let (mapping, _) = named(call, "GetEventSourceMapping", Access::Read).await?;
    Ok(Reply::Members(shown(&mapping, Doing::Resting)))
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    check_enabled(call, false)?;
    let mappings = call.parts.store.event_sources();
    let _turn = mappings.lock().await;
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut mapping, revision) = named(call, "UpdateEventSourceMapping", Access::Write).await?;
        event_sources::update(&mut mapping.settings, &call.members)?;
        if let Some(Target { key, qualifier }) = &call.target {
            lookup::version(&call.parts, call.target()).await?;
            mapping.function.clone_from(&key.name);
            mapping.qualifier.clone_from(qualifier);
            let kind = mapping.source_arn().and_then(EventSourceKind::of_arn);
            check_only(call, kind.unwrap_or(EventSourceKind::SelfManagedKafka), &mapping).await?;
        }
        mapping.modified_ms = now_ms();
        match mappings.put(&mapping, Some(revision)).await {
            Ok(_revision) => return Ok(Reply::Members(shown(&mapping, Doing::Updating))),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("The event source mapping is being changed by others; try again."))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let (mapping, _) = named(call, "DeleteEventSourceMapping", Access::Write).await?;
    if !call.parts.store.event_sources().delete(&mapping.account, &mapping.region, &mapping.id).await? {
        return Err(ApiError::not_found(NO_RESOURCE));
    }
    Ok(Reply::Members(shown(&mapping, Doing::Deleting)))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let size = call.number("MaxItems").and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE_MAX);
    let size = size.clamp(1, PAGE_MAX);
    let mut after = Position::decode(call.text("Marker"))?.map(|position| position.name);
    let mut found: Vec<EventSourceMapping> = Vec::new();
    // One more than a page shows that there is a next one.
    while found.len() <= size {
        let mappings = call.parts.store.event_sources();
        let mappings = mappings.list(account, region, after.as_deref(), MAPPINGS_AT_A_TIME).await?;
        let Some(last) = mappings.last() else { break };
        after = Some(last.id.clone());
        found.extend(mappings.into_iter().filter(|mapping| is_asked_for(call, mapping)));
    }
    let has_more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| has_more).map(|mapping| mapping.id.clone());
    let items = found.iter().map(|mapping| Value::Object(shown(mapping, Doing::Resting))).collect();
    let mut members = Map::from_iter([("EventSourceMappings".to_owned(), Value::Array(items))]);
    if let Some(name) = next {
        members.insert("NextMarker".to_owned(), Position { name, version: None }.encode().into());
    }
    Ok(Reply::Members(members))
}

/// The mapping of an ARN, for its tags; `None` for what is none of the caller's.
pub(super) async fn of_arn(
    call: &Call,
    arn: &str,
    operation: &str,
    access: Access,
) -> Result<Option<(EventSourceMapping, Revision)>, ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let Some(id) = EventSourceMapping::id_of(account, region, arn) else { return Ok(None) };
    let found = call.parts.store.event_sources().get(account, region, id).await?;
    if let Some((mapping, _)) = &found {
        check_may(call, mapping, operation, access)?;
    }
    Ok(found)
}

/// The mapping that `UUID` names.
async fn named(call: &Call, operation: &str, access: Access) -> Result<(EventSourceMapping, Revision), ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let id = call.text("UUID").unwrap_or_default();
    // What is no UUID is not looked for: it could be a path in the store.
    let found = match Uuid::try_parse(id) {
        Ok(id) => call.parts.store.event_sources().get(account, region, &id.to_string()).await?,
        Err(_no_id) => None,
    };
    let (mapping, revision) = found.ok_or_else(|| ApiError::not_found(NO_RESOURCE))?;
    check_may(call, &mapping, operation, access)?;
    Ok((mapping, revision))
}

/// A key for some functions has their mappings only.
fn check_may(call: &Call, mapping: &EventSourceMapping, operation: &str, access: Access) -> Result<(), ApiError> {
    // Policies have been asked before.
    if call.principal.has_policies() || permits(&call.principal, access, Some(&mapping.function)) {
        return Ok(());
    }
    let action = format!("lambda:{operation}");
    Err(ApiError::access_denied(&call.principal.arn(), &action, &mapping.arn()))
}

fn is_asked_for(call: &Call, mapping: &EventSourceMapping) -> bool {
    let may_see = call.principal.has_policies() || permits(&call.principal, Access::Read, Some(&mapping.function));
    may_see
        && call.text("EventSourceArn").is_none_or(|arn| mapping.source_arn() == Some(arn))
        && call.target.as_ref().is_none_or(|target| mapping.function_arn() == target.arn())
}

/// What is asked for would not be done: better no mapping than one that seems to work.
fn check_enabled(call: &Call, by_default: bool) -> Result<(), ApiError> {
    if call.members.get("Enabled").and_then(Value::as_bool).unwrap_or(by_default) {
        return Err(ApiError::invalid_parameter(
            "Enabled true is not supported yet by wuwei, which reads no event sources: with Enabled false the mapping \
             is kept, and no events come from it",
        ));
    }
    Ok(())
}

/// Refuses a second mapping of a source to a function.
async fn check_only(call: &Call, kind: EventSourceKind, mapping: &EventSourceMapping) -> Result<(), ApiError> {
    let all = call.parts.store.event_sources().all(&mapping.account, &mapping.region).await?;
    let twin = all.iter().find(|other| {
        other.id != mapping.id
            && other.function == mapping.function
            && other.qualifier == mapping.qualifier
            && same_source(&other.settings, &mapping.settings)
    });
    let Some(twin) = twin else { return Ok(()) };
    let (arn, name, id) = (mapping.source_arn().unwrap_or_default(), &mapping.function, &twin.id);
    let text = if kind.is_queue() {
        format!("An event source mapping with SQS arn (\" {arn} \") and function (\" {name} \") already exists. ")
    } else {
        format!("The event source arn (\" {arn} \") and function (\" {name} \") provided mapping already exists. ")
    };
    Err(ApiError::conflict(format!("{text}Please update or delete the existing mapping with UUID {id}")))
}
