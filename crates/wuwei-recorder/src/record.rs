//! One log event, and how it is written down: a JSON object on a line of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The function's own output.
    Function,
    /// START, END, REPORT, INIT_START and the platform's errors.
    Platform,
}

/// One log event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// `<YYYY/MM/DD>/[<version>]<32 hex>`; `wuwei` for what the recorder itself says of the log.
    pub stream: String,
    /// The invocation that it belongs to; `None` outside of invocations, for example during initialisation.
    pub request_id: Option<String>,
    /// Whose words these are.
    pub level: Level,
    /// Without final newline; may hold several lines.
    pub message: String,
}

#[derive(Serialize, Deserialize)]
struct StoredRecord<'a> {
    time_ms: i64,
    stream: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    level: StoredLevel,
    message: Cow<'a, str>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredLevel {
    Function,
    Platform,
}

/// What is written of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordView<'a> {
    pub(crate) time_ms: i64,
    pub(crate) stream: &'a str,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) level: Level,
    pub(crate) message: &'a str,
}

impl RecordView<'_> {
    /// Appends the record to a buffer, with its newline.
    pub(crate) fn encode_to(&self, buffer: &mut Vec<u8>) {
        let stored = StoredRecord {
            time_ms: self.time_ms,
            stream: Cow::Borrowed(self.stream),
            request_id: self.request_id.map(Cow::Borrowed),
            level: match self.level {
                Level::Function => StoredLevel::Function,
                Level::Platform => StoredLevel::Platform,
            },
            message: Cow::Borrowed(self.message),
        };
        serde_json::to_writer(&mut *buffer, &stored).expect("a buffer takes everything, and every record is JSON");
        buffer.push(b'\n');
    }

    pub(crate) fn to_record(self) -> LogRecord {
        LogRecord {
            time_ms: self.time_ms,
            stream: self.stream.to_owned(),
            request_id: self.request_id.map(str::to_owned),
            level: self.level,
            message: self.message.to_owned(),
        }
    }
}

impl LogRecord {
    #[cfg(test)]
    pub(crate) fn view(&self) -> RecordView<'_> {
        let Self { time_ms, stream, request_id, level, message } = self;
        RecordView { time_ms: *time_ms, stream, request_id: request_id.as_deref(), level: *level, message }
    }

    /// The record on a line; `None` for what a crash has left of one.
    pub(crate) fn decode(line: &[u8]) -> Option<Self> {
        let stored: StoredRecord<'_> = serde_json::from_slice(line).ok()?;
        Some(Self {
            time_ms: stored.time_ms,
            stream: stored.stream.into_owned(),
            request_id: stored.request_id.map(Cow::into_owned),
            level: match stored.level {
                StoredLevel::Function => Level::Function,
                StoredLevel::Platform => Level::Platform,
            },
            message: stored.message.into_owned(),
        })
    }
}
