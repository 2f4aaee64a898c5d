//! The function's own lines in JSON format: which level they have, and whether it is enough.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>: a line is judged by the
//! `level` of its JSON object; one that names none, or has no timestamp of RFC 3339, counts as INFO, and a timestamp is
//! added. Lines that are not JSON stay as they are and count as INFO too.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wuwei_model::ApplicationLogLevel;

use crate::files::rfc3339;

/// What a line says of itself, under the names that loggers commonly use.
#[derive(Deserialize)]
struct Head {
    #[serde(alias = "Level", alias = "log_level", alias = "logLevel", alias = "LogLevel")]
    level: Option<Value>,
    #[serde(alias = "Timestamp", alias = "time", alias = "Time", alias = "@timestamp")]
    timestamp: Option<Value>,
}

/// The line as it goes into the log, or `None` when its level is below `least`.
pub(crate) fn judge(text: &str, least: ApplicationLogLevel, at: SystemTime) -> Option<Cow<'_, str>> {
    let object = text.trim_start().strip_prefix('{');
    let head: Option<Head> = object.and_then(|_| serde_json::from_str(text).ok());
    let (Some(object), Some(head)) = (object, head) else {
        return (ApplicationLogLevel::Info >= least).then_some(Cow::Borrowed(text));
    };
    let is_time = |value: &Value| value.as_str().is_some_and(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok());
    let has_time = head.timestamp.as_ref().is_some_and(is_time);
    let named = head.level.as_ref().and_then(Value::as_str).and_then(ApplicationLogLevel::parse);
    let level = named.filter(|_| has_time).unwrap_or(ApplicationLogLevel::Info);
    if level < least {
        return None;
    }
    if head.timestamp.is_some() {
        return Some(Cow::Borrowed(text));
    }
    let level = if head.level.is_none() { r#""level":"INFO","# } else { "" };
    let comma_less = object.trim_start() == "}";
    let level = if comma_less { level.trim_end_matches(',') } else { level };
    let separator = if comma_less && level.is_empty() { "" } else { "," };
    Some(Cow::Owned(format!(r#"{{"timestamp":"{}"{separator}{level}{object}"#, rfc3339(at))))
}

#[cfg(test)]
mod tests {
    use super::judge;
    use std::time::{Duration, SystemTime};
    use wuwei_model::ApplicationLogLevel::{Debug, Error, Info, Trace, Warn};

    const TIME: &str = r#""timestamp":"2026-11-20T08:00:00Z""#;

    #[test]
    fn lines_are_judged_by_the_level_they_name() {
        let check = |line: &str, least, kept: bool| {
            let at = SystemTime::UNIX_EPOCH;
            assert_eq!(judge(line, least, at).as_deref(), kept.then_some(line), "{line} at {least:?}");
        };
        let debug = format!(r#"{{"level":"debug",{TIME}}}"#);
        check(&debug, Debug, true);
        check(&debug, Info, false);
        let error = format!(r#"{{{TIME},"level":"ERROR"}}"#);
        check(&error, Error, true);
        let loud = format!(r#"{{{TIME},"level":"loud"}}"#);
        check(&loud, Info, true);
        check(&loud, Warn, false);
        let timeless = r#"{"level":"ERROR","time":"yesterday"}"#;
        check(timeless, Info, true);
        check(timeless, Warn, false);
        check("plain text", Info, true);
        check("plain text", Warn, false);
        check("{not json", Trace, true);
        check("[1]", Warn, false);
    }

    #[test]
    fn a_missing_timestamp_is_added() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_161_600_007);
        let check = |line: &str, rest: &str| {
            let judged = judge(line, Info, at).unwrap();
            assert_eq!(judged, format!(r#"{{"timestamp":"2026-11-20T08:00:00.007Z"{rest}"#));
            serde_json::from_str::<serde_json::Value>(&judged).unwrap();
        };
        check(r#"{"a":1}"#, r#","level":"INFO","a":1}"#);
        check(r#"{"level":"ERROR"}"#, r#","level":"ERROR"}"#);
        check("{}", r#","level":"INFO"}"#);
        check(" { }", r#","level":"INFO" }"#);
    }
}
