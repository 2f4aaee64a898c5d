use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// What an invocation used, from the REPORT line of its log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    request_id: String,
    duration_ms: f64,
    billed_ms: u64,
    memory_mb: u64,
    /// Absent where nothing measured it.
    max_memory_mb: Option<u64>,
    /// Only when this call started the instance.
    init_ms: Option<f64>,
}

impl Report {
    /// Reads the last REPORT line of a log, or its last `platform.report` where the log is JSON.
    pub(super) fn find(log: &str) -> Option<Self> {
        let Some(line) = log.lines().rev().find_map(|line| line.strip_prefix("REPORT ")) else {
            return log.lines().rev().find_map(Self::of_event);
        };
        let field = |name: &str| {
            let value = line.split('\t').find_map(|field| field.strip_prefix(name)?.strip_prefix(": "))?;
            value.split(' ').next()
        };
        Some(Self {
            request_id: field("RequestId")?.to_owned(),
            duration_ms: field("Duration")?.parse().ok()?,
            billed_ms: field("Billed Duration")?.parse().ok()?,
            memory_mb: field("Memory Size")?.parse().ok()?,
            max_memory_mb: measured(field("Max Memory Used")?.parse().ok()?),
            init_ms: field("Init Duration").and_then(|number| number.parse().ok()),
        })
    }

    fn of_event(line: &str) -> Option<Self> {
        let event = platform_event(line).filter(|event| event.pointer("/type") == Some(&"platform.report".into()))?;
        let whole = |name: &str| event.pointer(&format!("/record/metrics/{name}")).and_then(Value::as_u64);
        let decimal = |name: &str| event.pointer(&format!("/record/metrics/{name}")).and_then(Value::as_f64);
        Some(Self {
            request_id: event.pointer("/record/requestId")?.as_str()?.to_owned(),
            duration_ms: decimal("durationMs")?,
            billed_ms: whole("billedDurationMs")?,
            memory_mb: whole("memorySizeMB")?,
            max_memory_mb: measured(whole("maxMemoryUsedMB")?),
            init_ms: decimal("initDurationMs"),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = if self.init_ms.is_some() { "cold start" } else { "warm" };
        write!(formatter, "{start}: {:.2} ms", self.duration_ms)?;
        if let Some(init_ms) = self.init_ms {
            write!(formatter, " after {init_ms:.2} ms init")?;
        }
        write!(formatter, ", billed {} ms, ", self.billed_ms)?;
        match self.max_memory_mb {
            Some(used_mb) => write!(formatter, "{used_mb} of {} MB", self.memory_mb),
            None => formatter.write_str("memory not measured"),
        }
    }
}

/// AWS's line has no word for "not measured", so that it says 0 MB, which no process uses.
fn measured(used_mb: u64) -> Option<u64> {
    (used_mb > 0).then_some(used_mb)
}

/// Whether a line of a log is one of the platform's own that frame every invocation.
pub(super) fn is_frame(line: &str) -> bool {
    ["INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: "]
        .iter()
        .any(|start| line.starts_with(start))
        || platform_event(line).is_some()
}

/// The event that a line of a JSON log is, when it is one of the platform's.
fn platform_event(line: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(line.strip_prefix('{').map(|_| line)?).ok()?;
    event.get("type")?.as_str()?.starts_with("platform.").then_some(event)
}

#[cfg(test)]
mod tests {
    use super::{Report, is_frame};

    const COLD: &str = "START RequestId: 1 Version: $LATEST\nhello\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 1.20 ms\t\
        Billed Duration: 42 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\tInit Duration: 40.10 ms\t\n";

    #[test]
    fn the_report_line_is_read_field_by_field() {
        let report = Report::find(COLD).unwrap();
        assert_eq!(report.to_string(), "cold start: 1.20 ms after 40.10 ms init, billed 42 ms, 30 of 128 MB");
        let warm = COLD.replace("\tInit Duration: 40.10 ms", "");
        assert_eq!(Report::find(&warm).unwrap().to_string(), "warm: 1.20 ms, billed 42 ms, 30 of 128 MB");
        let unmeasured = warm.replace("Used: 30 MB", "Used: 0 MB");
        let report = Report::find(&unmeasured).unwrap();
        assert_eq!(report.to_string(), "warm: 1.20 ms, billed 42 ms, memory not measured");
        assert_eq!(serde_json::to_value(report).unwrap()["max_memory_mb"], serde_json::Value::Null);
        assert_eq!(Report::find("nothing"), None);
        assert_eq!(Report::find("REPORT RequestId: 1\tDuration: x ms"), None);
    }

    #[test]
    fn a_json_log_is_read_too() {
        let log = concat!(
            r#"{"time":"2026-11-20T08:00:00.000Z","type":"platform.start","record":{"requestId":"1"}}"#,
            "\nhello\n{\"type\":\"mine\"}\n",
            r#"{"time":"2026-11-20T08:00:00.007Z","type":"platform.report","record":{"requestId":"1","metrics":"#,
            r#"{"durationMs":1.2,"billedDurationMs":42,"memorySizeMB":128,"maxMemoryUsedMB":30,"initDurationMs":40.1}}}"#,
        );
        let report = Report::find(log).unwrap();
        assert_eq!(report.to_string(), "cold start: 1.20 ms after 40.10 ms init, billed 42 ms, 30 of 128 MB");
        let kept: Vec<&str> = log.lines().filter(|line| !is_frame(line)).collect();
        assert_eq!(kept, ["hello", r#"{"type":"mine"}"#]);
    }

    #[test]
    fn only_the_platforms_frame_lines_are_left_out() {
        let kept: Vec<&str> = COLD.lines().filter(|line| !is_frame(line)).collect();
        assert_eq!(kept, ["hello"]);
    }
}
