//! `DescribeLogStreams` and `DeleteLogStream`.

use serde_json::{Map, Value, json};

use super::dispatch::Call;
use super::error::LogsError;
use super::group_operations::{LIMIT_DEFAULT, existing};
use super::groups::arn_of;
use super::token;

pub(super) async fn describe(call: &Call) -> Result<Map<String, Value>, LogsError> {
    let by_time = call.text("orderBy") == Some("LastEventTime");
    let prefix = call.text("logStreamNamePrefix");
    if by_time && prefix.is_some() {
        return Err(LogsError::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let group = existing(call).await?;
    let mut streams = group.contents(&call.parts).await?.map(|contents| contents.streams).unwrap_or_default();
    streams.retain(|stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)));
    if by_time {
        streams.sort_by(|left, right| (left.last_ms, &left.name).cmp(&(right.last_ms, &right.name)));
    }
    if call.flag("descending") {
        streams.reverse();
    }
    let after = token::name_in(call.text("nextToken"))?;
    let begin = match &after {
        None => 0,
        // A stream that is gone since ends the list, rather than beginning it anew.
        Some(after) => streams.iter().position(|stream| stream.name == *after).map_or(streams.len(), |last| last + 1),
    };
    let limit = usize::try_from(call.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(1);
    let page: Vec<_> = streams.iter().skip(begin).take(limit).collect();
    let has_more = begin + page.len() < streams.len();
    let arn = arn_of(&call.principal.account, call.region(), &group.name);
    let documents: Vec<Value> = page
        .iter()
        .map(|stream| {
            json!({
                "logStreamName": stream.name,
                "creationTime": stream.first_ms,
                "firstEventTimestamp": stream.first_ms,
                "lastEventTimestamp": stream.last_ms,
                "lastIngestionTime": stream.last_ms,
                "arn": format!("{arn}:log-stream:{}", stream.name),
                "storedBytes": 0,
            })
        })
        .collect();
    let mut members = Map::from_iter([("logStreams".to_owned(), documents.into())]);
    if let Some(last) = page.last().filter(|_| has_more) {
        members.insert("nextToken".to_owned(), token::of_name(&last.name).into());
    }
    Ok(members)
}

pub(super) async fn delete(call: &Call) -> Result<(), LogsError> {
    let group = existing(call).await?;
    let name = call.text("logStreamName").unwrap_or_default();
    call.check(&group, name)?;
    let mut is_found = false;
    for function in &group.functions {
        let summary = call.parts.recorder.summary(function).await?;
        if summary.streams.iter().any(|stream| stream.name == name) {
            call.parts.recorder.clear(function, Some(name)).await?;
            is_found = true;
        }
    }
    if is_found { Ok(()) } else { Err(LogsError::no_stream()) }
}
