//! `GET logs/<function>`: what a function wrote, now or as it comes.

use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wuwei_recorder::{Level, LogRecord};

use super::{Request, follow};
use crate::lambda::ApiError;
use crate::wire::Answer;

/// Records when a request names no limit, and the most that one answer holds.
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;

pub(super) async fn answer(request: &Request<'_>, function: &str) -> Result<Answer, ApiError> {
    let key = request.function(function)?;
    let parts = &request.exchange.parts;
    let since_ms = number(request, "since_ms")?;
    let limit = number(request, "limit")?.map_or(LIMIT_DEFAULT, |limit| usize::try_from(limit).unwrap_or(0));
    let limit = limit.min(LIMIT_MAX);
    if request.query("follow").is_some_and(|value| value == "1" || value == "true") {
        return follow::answer(parts, key, since_ms, limit).await;
    }
    // A function that never was has no logs to be confused with an idle one's.
    if parts.store.functions().get(&key).await?.is_none() {
        return Err(ApiError::function_not_found(&key.arn()));
    }
    parts.recorder.flush().await;
    let records = parts.recorder.read(&key, since_ms.unwrap_or(0), limit).await;
    let records = records.map_err(|error| ApiError::platform(&error))?;
    Ok(Answer::json(StatusCode::OK, &records.iter().map(document).collect()))
}

pub(super) fn number(request: &Request<'_>, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = request.query(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.map(Some).ok_or_else(|| ApiError::validation(format!("{name} must be a whole number that is not negative")))
}

/// One record as JSON.
pub(super) fn document(record: &LogRecord) -> Value {
    let level = match record.level {
        Level::Function => "function",
        Level::Platform => "platform",
    };
    json!({
        "time": rfc3339(record.time_ms),
        "request_id": record.request_id,
        "level": level,
        "message": record.message,
        "stream": record.stream,
    })
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-20T08:00:00.000Z`.
pub(super) fn rfc3339(at_ms: i64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(FORMAT).expect("a valid time has all the format's components")
}

#[cfg(test)]
mod tests {
    use super::document;
    use wuwei_recorder::{Level, LogRecord};

    #[test]
    fn a_record_has_its_time_in_milliseconds() {
        let record = LogRecord {
            time_ms: 1_795_161_600_007,
            stream: "2026/11/20/[$LATEST]0".to_owned(),
            request_id: None,
            level: Level::Function,
            message: "two\nlines".to_owned(),
        };
        let expected = serde_json::json!({
            "time": "2026-11-20T08:00:00.007Z",
            "request_id": null,
            "level": "function",
            "message": "two\nlines",
            "stream": "2026/11/20/[$LATEST]0",
        });
        assert_eq!(document(&record), expected);
    }
}
