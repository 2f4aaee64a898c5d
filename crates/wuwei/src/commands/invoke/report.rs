use std::fmt;

use serde::Serialize;

/// What an invocation used, from the REPORT line of its log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    request_id: String,
    duration_ms: f64,
    billed_ms: u64,
    memory_mb: u64,
    max_memory_mb: u64,
    /// Only when this call started the instance.
    init_ms: Option<f64>,
}

impl Report {
    /// Reads the last REPORT line of a log.
    pub(super) fn find(log: &str) -> Option<Self> {
        let line = log.lines().rev().find_map(|line| line.strip_prefix("REPORT "))?;
        let field = |name: &str| {
            let value = line.split('\t').find_map(|field| field.strip_prefix(name)?.strip_prefix(": "))?;
            value.split(' ').next()
        };
        Some(Self {
            request_id: field("RequestId")?.to_owned(),
            duration_ms: field("Duration")?.parse().ok()?,
            billed_ms: field("Billed Duration")?.parse().ok()?,
            memory_mb: field("Memory Size")?.parse().ok()?,
            max_memory_mb: field("Max Memory Used")?.parse().ok()?,
            init_ms: field("Init Duration").and_then(|number| number.parse().ok()),
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
        write!(formatter, ", billed {} ms, {} of {} MB", self.billed_ms, self.max_memory_mb, self.memory_mb)
    }
}

/// Whether a line of a log is one of the platform's own that frame every invocation.
pub(super) fn is_frame(line: &str) -> bool {
    ["INIT_START ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: "]
        .iter()
        .any(|start| line.starts_with(start))
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
        assert_eq!(Report::find("nothing"), None);
        assert_eq!(Report::find("REPORT RequestId: 1\tDuration: x ms"), None);
    }

    #[test]
    fn only_the_platforms_frame_lines_are_left_out() {
        let kept: Vec<&str> = COLD.lines().filter(|line| !is_frame(line)).collect();
        assert_eq!(kept, ["hello"]);
    }
}
