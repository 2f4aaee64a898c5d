//! Tags of roles and policies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wuwei_model::limits;
use wuwei_store::{Change, PolicyRecord};

use super::page::page;
use super::policies::{self, Found};
use super::roles;
use super::{Call, Members, limit_exceeded, nothing};
use crate::query::QueryError;

/// Tags of something new.
pub(super) fn of_new(call: &Call) -> Result<BTreeMap<String, String>, QueryError> {
    let mut tags = BTreeMap::new();
    add(call, &mut tags)?;
    Ok(tags)
}

/// As answers have them.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

pub(super) fn of_role(call: &Call) -> Result<Members, QueryError> {
    items(call, &roles::find(call)?.tags)
}

pub(super) fn of_policy(call: &Call) -> Result<Members, QueryError> {
    match policies::find(call, call.required("PolicyArn"))? {
        Found::Own(policy) => items(call, &policy.tags),
        Found::Managed(_) => items(call, &BTreeMap::new()),
    }
}

pub(super) async fn tag_role(call: &Call) -> Result<Members, QueryError> {
    roles::change(call, |role| add(call, &mut role.tags)).await?;
    Ok(nothing())
}

pub(super) async fn untag_role(call: &Call) -> Result<Members, QueryError> {
    roles::change(call, |role| {
        remove(call, &mut role.tags);
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) async fn tag_policy(call: &Call) -> Result<Members, QueryError> {
    change_policy(call, |tags| add(call, tags)).await
}

pub(super) async fn untag_policy(call: &Call) -> Result<Members, QueryError> {
    change_policy(call, |tags| {
        remove(call, tags);
        Ok(())
    })
    .await
}

async fn change_policy(
    call: &Call,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), QueryError> + Send,
) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    let key = PolicyRecord::key(call.account(), &policies::own(call)?.name);
    call.parts
        .store
        .policies()
        .change::<(), QueryError>(&key, |present| {
            let present = present.cloned();
            let mut policy = present.ok_or_else(|| policies::missing(arn))?;
            change(&mut policy.tags)?;
            Ok((Change::Put(policy), ()))
        })
        .await?;
    Ok(nothing())
}

fn items(call: &Call, tags: &BTreeMap<String, String>) -> Result<Members, QueryError> {
    page(call, "Tags", tags.iter().map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value}))).collect())
}

fn add(call: &Call, tags: &mut BTreeMap<String, String>) -> Result<(), QueryError> {
    let given = call.inner.members.get("Tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let invalid = |text: &str| QueryError::new("InvalidInputException", text);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for tag in given {
        let key = tag["Key"].as_str().unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys that begin with aws: are reserved."));
        }
        if !seen.insert(key.to_ascii_lowercase()) {
            return Err(invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        // A condition could not tell keys apart that differ in case only.
        tags.retain(|known, _| !known.eq_ignore_ascii_case(key));
        tags.insert(key.to_owned(), tag["Value"].as_str().unwrap_or_default().to_owned());
    }
    if tags.len() > limits::TAGS_MAX {
        return Err(limit_exceeded(format!("Cannot exceed quota for TagsPerResource: {}", limits::TAGS_MAX)));
    }
    Ok(())
}

fn remove(call: &Call, tags: &mut BTreeMap<String, String>) {
    let keys = call.inner.members.get("TagKeys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_removed = |key: &str| keys.iter().filter_map(Value::as_str).any(|removed| removed.eq_ignore_ascii_case(key));
    tags.retain(|key, _| !is_removed(key));
}
