//! Tags of log groups.

use serde_json::{Map, Value, json};
use wuwei_model::limits;
use wuwei_store::{Change, LogGroupRecord};

use super::dispatch::Call;
use super::error::LogsError;
use super::group_operations::now_ms;
use super::groups::{self, Group};

/// Of a group; the model's pattern has been checked.
pub(super) fn read(tags: Option<&Value>) -> Result<Vec<(String, String)>, LogsError> {
    let tags = tags.and_then(Value::as_object).into_iter().flatten();
    let tags: Vec<(String, String)> =
        tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    if tags.iter().any(|(key, _)| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(LogsError::invalid("Tag keys that begin with aws: are reserved."));
    }
    Ok(tags)
}

pub(super) async fn list(call: &Call) -> Result<Map<String, Value>, LogsError> {
    let group = find(call).await?;
    let tags = group.record.map(|record| json!(record.tags)).unwrap_or_else(|| json!({}));
    Ok(Map::from_iter([("tags".to_owned(), tags)]))
}

pub(super) async fn add(call: &Call) -> Result<(), LogsError> {
    let group = find(call).await?;
    let added = read(call.members.get("tags"))?;
    change(call, &group, move |record| {
        record.tags.extend(added);
        if record.tags.len() > limits::TAGS_MAX { Err(LogsError::too_many_tags()) } else { Ok(()) }
    })
    .await
}

pub(super) async fn remove(call: &Call) -> Result<(), LogsError> {
    let group = find(call).await?;
    let keys = call.members.get("tagKeys").and_then(Value::as_array).cloned().unwrap_or_default();
    change(call, &group, move |record| {
        record.tags.retain(|key, _| !keys.iter().any(|removed| removed.as_str() == Some(key)));
        Ok(())
    })
    .await
}

async fn find(call: &Call) -> Result<Group, LogsError> {
    let arn = call.text("resourceArn").unwrap_or_default();
    let name = call.name_in(arn).filter(|_| arn.starts_with("arn:")).ok_or_else(LogsError::no_resource)?;
    let group = groups::candidate(&call.parts, &call.principal.account, name).await?;
    let group = call.as_seen(group.ok_or_else(LogsError::no_resource)?);
    call.check(&group, "")?;
    match group.contents(&call.parts).await? {
        Some(_) => Ok(group),
        None => Err(LogsError::no_resource()),
    }
}

/// Changes what is said of a group; makes a record where there is none yet.
pub(super) async fn change(
    call: &Call,
    group: &Group,
    change: impl FnOnce(&mut LogGroupRecord) -> Result<(), LogsError> + Send,
) -> Result<(), LogsError> {
    let key = LogGroupRecord::key(&call.principal.account, call.region(), &group.name);
    call.parts
        .store
        .log_groups()
        .change(&key, |present| {
            let mut record = present.cloned().unwrap_or_else(|| LogGroupRecord {
                name: group.name.clone(),
                created_ms: now_ms(),
                retention_days: None,
                tags: std::collections::BTreeMap::new(),
            });
            change(&mut record)?;
            Ok((Change::Put(record), ()))
        })
        .await
}
