//! `CreateLogGroup`, `DescribeLogGroups`, `DeleteLogGroup` and how long a group is kept.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use wuwei_model::limits;
use wuwei_store::{Change, LogGroupRecord};

use super::dispatch::Call;
use super::error::LogsError;
use super::groups::{self, Contents, Group, arn_of};
use super::{retention, tags, token};

/// Days that a group can be kept.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const RETENTION_DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// Groups of one answer when nobody says how many.
pub(super) const LIMIT_DEFAULT: i64 = 50;
const STANDARD: &str = "STANDARD";
/// Groups of an account of which something has been said: any function with the usual policy may make them.
const GROUPS_MAX: usize = 5_000;

pub(super) async fn create(call: &Call) -> Result<(), LogsError> {
    let name = call.group_name()?;
    let new = Group { name: name.to_owned(), record: None, functions: Vec::new() };
    let group = groups::candidate(&call.parts, &call.principal.account, name).await?.unwrap_or(new);
    call.check(&group, "")?;
    if call.text("logGroupClass").is_some_and(|class| class != STANDARD) {
        return Err(LogsError::invalid("wuwei has log groups of the class STANDARD only"));
    }
    if call.text("kmsKeyId").is_some() {
        return Err(LogsError::invalid("kmsKeyId is not supported by wuwei"));
    }
    if call.flag("deletionProtectionEnabled") {
        return Err(LogsError::invalid("deletionProtectionEnabled is not supported by wuwei"));
    }
    let tags = tags::read(call.members.get("tags"))?;
    if tags.len() > limits::TAGS_MAX {
        return Err(LogsError::invalid("The resource has too many tags."));
    }
    if group.contents(&call.parts).await?.is_some() {
        return Err(LogsError::group_exists());
    }
    let key = LogGroupRecord::key(&call.principal.account, call.region(), name);
    let groups = call.parts.store.log_groups();
    let all = LogGroupRecord::key(&call.principal.account, call.region(), "");
    groups
        .change(&key, |present| match present {
            Some(_) => Err(LogsError::group_exists()),
            None if groups.list(&all).len() >= GROUPS_MAX => Err(LogsError::too_many_groups()),
            None => {
                let (name, created_ms) = (name.to_owned(), now_ms());
                let tags = tags.into_iter().collect();
                Ok((Change::Put(LogGroupRecord { name, created_ms, retention_days: None, tags }), ()))
            }
        })
        .await
}

pub(super) async fn describe(call: &Call) -> Result<Map<String, Value>, LogsError> {
    call.check_any()?;
    let (prefix, pattern) = (call.text("logGroupNamePrefix"), call.text("logGroupNamePattern"));
    if prefix.is_some() && pattern.is_some() {
        return Err(LogsError::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let pattern = pattern.map(str::to_lowercase);
    let identifiers: Option<Vec<&str>> = call
        .members
        .get("logGroupIdentifiers")
        .and_then(Value::as_array)
        .map(|items| items.iter().filter_map(Value::as_str).filter_map(|item| call.name_in(item)).collect());
    let after = token::name_in(call.text("nextToken"))?;
    let limit = usize::try_from(call.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(1);
    let is_wanted = |name: &str| {
        prefix.is_none_or(|prefix| name.starts_with(prefix))
            && pattern.as_ref().is_none_or(|pattern| name.to_lowercase().contains(pattern.as_str()))
            && identifiers.as_ref().is_none_or(|names| names.contains(&name))
            && after.as_ref().is_none_or(|after| name > after.as_str())
            && call.text("logGroupClass").is_none_or(|class| class == STANDARD)
    };
    let mut shown = Vec::new();
    let mut next = None;
    for (name, group) in groups::candidates(&call.parts, &call.principal.account).await? {
        let group = call.as_seen(group);
        if !is_wanted(&name) || call.check(&group, "").is_err() && call.principal.is_key() {
            continue;
        }
        let Some(contents) = group.contents(&call.parts).await? else { continue };
        if shown.len() == limit {
            next = shown.last().and_then(|last: &Value| last["logGroupName"].as_str()).map(token::of_name);
            break;
        }
        shown.push(document(call, &group, &contents));
    }
    let mut members = Map::from_iter([("logGroups".to_owned(), shown.into())]);
    if let Some(next) = next {
        members.insert("nextToken".to_owned(), next.into());
    }
    Ok(members)
}

fn document(call: &Call, group: &Group, contents: &Contents) -> Value {
    let arn = arn_of(&call.principal.account, call.region(), &group.name);
    let first_event = contents.streams.iter().map(|stream| stream.first_ms).min();
    let record = group.record.as_deref();
    let created_ms = match (record.map(|record| record.created_ms), first_event) {
        (Some(made), Some(first)) => made.min(first),
        (Some(either), None) | (None, Some(either)) => either,
        (None, None) => 0,
    };
    let mut members = Map::from_iter([
        ("logGroupName".to_owned(), json!(group.name)),
        ("creationTime".to_owned(), json!(created_ms)),
        ("metricFilterCount".to_owned(), json!(0)),
        ("arn".to_owned(), json!(format!("{arn}:*"))),
        ("storedBytes".to_owned(), json!(contents.stored_bytes)),
        ("logGroupClass".to_owned(), json!(STANDARD)),
        ("logGroupArn".to_owned(), json!(arn)),
    ]);
    if let Some(days) = record.and_then(|record| record.retention_days) {
        members.insert("retentionInDays".to_owned(), json!(days));
    }
    Value::Object(members)
}

pub(super) async fn delete(call: &Call) -> Result<(), LogsError> {
    let group = existing(call).await?;
    for function in &group.functions {
        call.parts.recorder.clear(function, None).await?;
    }
    let key = LogGroupRecord::key(&call.principal.account, call.region(), &group.name);
    call.parts.store.log_groups().change(&key, |_| Ok::<_, LogsError>((Change::Remove, ()))).await?;
    retention::apply(&call.parts).await;
    Ok(())
}

pub(super) async fn put_retention(call: &Call) -> Result<(), LogsError> {
    let days = call.number("retentionInDays").unwrap_or_default();
    if !RETENTION_DAYS.contains(&days) {
        let known: Vec<String> = RETENTION_DAYS.iter().map(ToString::to_string).collect();
        return Err(LogsError::invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must \
             satisfy enum value set: [{}]",
            known.join(", ")
        )));
    }
    set_retention(call, u32::try_from(days).ok()).await
}

pub(super) async fn set_retention(call: &Call, days: Option<u32>) -> Result<(), LogsError> {
    let group = existing(call).await?;
    tags::change(call, &group, move |record| {
        record.retention_days = days;
        Ok(())
    })
    .await?;
    retention::apply(&call.parts).await;
    Ok(())
}

/// The group that a call names, which is there and may be touched.
pub(super) async fn existing(call: &Call) -> Result<Group, LogsError> {
    let name = call.group_name()?;
    let none = Group { name: name.to_owned(), record: None, functions: Vec::new() };
    let group = groups::candidate(&call.parts, &call.principal.account, name).await?.unwrap_or(none);
    let group = call.as_seen(group);
    call.check(&group, "")?;
    match group.contents(&call.parts).await? {
        Some(_) => Ok(group),
        None => Err(LogsError::no_group()),
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
