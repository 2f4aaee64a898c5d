//! `GetLogEvents` and `FilterLogEvents`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use wuwei_model::{FilterPattern, FunctionKey};
use wuwei_recorder::{Direction, EventPage, EventQuery, LocatedRecord, LogRecord, Position};

use super::dispatch::Call;
use super::error::LogsError;
use super::group_operations::existing;
use super::token;

/// Events of one answer when nobody says how many.
const LIMIT_DEFAULT: i64 = 10_000;
/// AWS's figure for one answer.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// What is looked through for one answer; whoever looks for something rare asks again.
const EXAMINED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Functions of a group that one answer looks at: what each may give is held until the answer is made.
const FUNCTIONS_AT_A_TIME: usize = 16;

fn query(call: &Call, direction: Direction, from: Option<Position>) -> EventQuery {
    EventQuery {
        direction,
        from,
        since_ms: call.number("startTime").unwrap_or(0),
        until_ms: call.number("endTime").unwrap_or(i64::MAX),
        limit: usize::try_from(call.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(1),
        message_bytes: MESSAGE_BYTES_MAX,
        examined_bytes: EXAMINED_BYTES_MAX,
    }
}

/// A share of what one answer may look through.
fn share(of: u64, functions: usize) -> u64 {
    of / u64::try_from(functions.max(1)).unwrap_or(u64::MAX)
}

/// AWS's lines end with a newline.
fn message(record: &LogRecord) -> String {
    format!("{}\n", record.message)
}

pub(super) async fn get(call: &Call) -> Result<Map<String, Value>, LogsError> {
    let group = existing(call).await?;
    let stream = call.text("logStreamName").unwrap_or_default();
    call.check(&group, stream)?;
    let mut found = None;
    for function in &group.functions {
        let summary = call.parts.recorder.summary(function).await?;
        if let Some(summary) = summary.streams.into_iter().find(|known| known.name == stream) {
            found = Some((function, summary));
            break;
        }
    }
    let (function, summary) = found.ok_or_else(LogsError::no_stream)?;
    let given = token::position_in(call.text("nextToken"))?;
    let (direction, from) = match given {
        Some(given) => given,
        None if call.flag("startFromHead") => (Direction::Forward, summary.begin),
        None => (Direction::Backward, summary.end),
    };
    let mut query = query(call, direction, Some(from));
    // Here, and only here, the end is not included.
    query.until_ms = query.until_ms.saturating_sub(i64::from(call.number("endTime").is_some()));
    let name = stream.to_owned();
    let EventPage { records, next, is_complete } =
        call.parts.recorder.events(function, query, move |record| record.stream == name).await?;
    // At an end, the same token comes back: that is how clients see it.
    let is_end = records.is_empty() && is_complete;
    let (backward, forward) = match direction {
        Direction::Forward => (records.first().map_or(from, |first| first.position), if is_end { from } else { next }),
        Direction::Backward => (if is_end { from } else { next }, records.last().map_or(from, after)),
    };
    let now_ms = super::group_operations::now_ms();
    let events: Vec<Value> = records
        .iter()
        .map(|LocatedRecord { record, .. }| {
            json!({"timestamp": record.time_ms, "message": message(record), "ingestionTime": record.time_ms.min(now_ms)})
        })
        .collect();
    Ok(Map::from_iter([
        ("events".to_owned(), events.into()),
        ("nextForwardToken".to_owned(), token::of_position(Direction::Forward, forward).into()),
        ("nextBackwardToken".to_owned(), token::of_position(Direction::Backward, backward).into()),
    ]))
}

/// Behind a record: readers go on with the next whole one.
fn after(located: &LocatedRecord) -> Position {
    Position { offset: located.position.offset + 1, ..located.position }
}

pub(super) async fn filter(call: &Call) -> Result<Map<String, Value>, LogsError> {
    let names: Option<BTreeSet<String>> = call
        .members
        .get("logStreamNames")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let prefix = call.text("logStreamNamePrefix").map(str::to_owned);
    if names.is_some() && prefix.is_some() {
        return Err(LogsError::invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters."));
    }
    let pattern = call.text("filterPattern").filter(|pattern| !pattern.trim().is_empty());
    let pattern = pattern.map(FilterPattern::from_str).transpose();
    let pattern = Arc::new(pattern.map_err(|error| LogsError::invalid(error.to_string()))?);
    let from = token::positions_in(call.text("nextToken"))?;
    let group = existing(call).await?;
    if let Some(names) = &names {
        let contents = group.contents(&call.parts).await?;
        let known = contents.map(|contents| contents.streams).unwrap_or_default();
        if !names.iter().all(|name| known.iter().any(|stream| stream.name == *name)) {
            return Err(LogsError::no_stream());
        }
    }
    let limit = usize::try_from(call.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(1);
    let mut merged: Vec<(&FunctionKey, LocatedRecord)> = Vec::new();
    let mut positions: BTreeMap<String, Position> = BTreeMap::new();
    let mut has_more = false;
    let (turn, behind) = turn(&group.functions, &from);
    for function in turn {
        let mut query = query(call, Direction::Forward, from.get(&function.name).copied());
        query.examined_bytes = share(EXAMINED_BYTES_MAX, turn.len());
        let (names, prefix, pattern) = (names.clone(), prefix.clone(), Arc::clone(&pattern));
        let page = call.parts.recorder.events(function, query, move |record| {
            names.as_ref().is_none_or(|names| names.contains(&record.stream))
                && prefix.as_ref().is_none_or(|prefix| record.stream.starts_with(prefix.as_str()))
                && pattern.as_ref().as_ref().is_none_or(|pattern| pattern.matches(&record.message))
        });
        let EventPage { records, next, is_complete } = page.await?;
        has_more |= !is_complete;
        positions.insert(function.name.clone(), next);
        merged.extend(records.into_iter().map(|record| (function, record)));
    }
    merged.sort_by_key(|(_, located)| located.record.time_ms);
    if merged.len() > limit {
        has_more = true;
        // What does not fit is read again, from the first of each function that was left out.
        for (function, located) in merged.drain(limit..) {
            let position = positions.entry(function.name.clone()).or_insert(located.position);
            *position = (*position).min(located.position);
        }
    }
    let events: Vec<Value> = merged.iter().map(|(function, located)| event(function, located)).collect();
    let mut members =
        Map::from_iter([("events".to_owned(), events.into()), ("searchedLogStreams".to_owned(), json!([]))]);
    if !has_more && let Some(next) = behind {
        has_more = true;
        positions = BTreeMap::from([(next.name.clone(), Position::default())]);
    }
    if has_more {
        members.insert("nextToken".to_owned(), token::of_positions(&positions).into());
    }
    Ok(members)
}

/// The functions of a group (in order of name) that are looked at now, from the first that a token names on, and the one
/// that comes behind them.
fn turn<'group>(
    functions: &'group [FunctionKey],
    from: &BTreeMap<String, Position>,
) -> (&'group [FunctionKey], Option<&'group FunctionKey>) {
    let begin = from.keys().next().map_or(0, |first| functions.partition_point(|function| function.name < *first));
    let rest = functions.get(begin..).unwrap_or_default();
    let (turn, behind) = rest.split_at(rest.len().min(FUNCTIONS_AT_A_TIME));
    (turn, behind.first())
}

fn event(function: &FunctionKey, located: &LocatedRecord) -> Value {
    let LocatedRecord { record, .. } = located;
    json!({
        "logStreamName": record.stream,
        "timestamp": record.time_ms,
        "message": message(record),
        "ingestionTime": record.time_ms,
        "eventId": event_id(function, located.position),
    })
}

/// 56 digits, as AWS's: of the function (several may share a group), and of the place in its log.
fn event_id(function: &FunctionKey, position: Position) -> String {
    let digest = Sha256::digest(function.arn());
    let mark = digest.iter().take(4).fold(0_u32, |mark, byte| mark << 8 | u32::from(*byte));
    format!("{mark:010}{:010}{:010}{:026}", position.day.max(0), position.part, position.offset)
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS_AT_A_TIME, event_id, turn};
    use std::collections::BTreeMap;
    use wuwei_model::FunctionKey;
    use wuwei_recorder::Position;

    #[test]
    fn all_functions_of_a_group_have_their_turn_some_at_a_time() {
        let key = |number: usize| FunctionKey {
            account: "0".to_owned(),
            region: "r".to_owned(),
            name: format!("f{number:03}"),
        };
        let functions: Vec<FunctionKey> = (0..2 * FUNCTIONS_AT_A_TIME + 1).map(key).collect();
        let (mut seen, mut from) = (Vec::new(), BTreeMap::new());
        loop {
            let (now, behind) = turn(&functions, &from);
            assert!(now.len() <= FUNCTIONS_AT_A_TIME);
            seen.extend(now.iter().cloned());
            let Some(next) = behind else { break };
            from = BTreeMap::from([(next.name.clone(), Position::default())]);
        }
        assert_eq!(seen, functions);
        // One that is gone since is passed over.
        let gone = BTreeMap::from([("f000x".to_owned(), Position::default())]);
        assert_eq!(turn(&functions, &gone).0.first(), functions.get(1));
        assert_eq!(turn(&[], &gone), (&[][..], None));
    }

    #[test]
    fn an_event_has_an_id_of_56_digits_of_its_own() {
        let key = |name: &str| FunctionKey { account: "0".to_owned(), region: "r".to_owned(), name: name.to_owned() };
        let at = |offset| Position { day: 2_460_000, part: 0, offset };
        let ids = [event_id(&key("f"), at(0)), event_id(&key("f"), at(1)), event_id(&key("g"), at(0))];
        assert!(ids.iter().all(|id| id.len() == 56 && id.bytes().all(|byte| byte.is_ascii_digit())));
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
        assert_eq!(ids[0], event_id(&key("f"), at(0)));
    }
}
