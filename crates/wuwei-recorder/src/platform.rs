//! The platform's events in JSON format: `{"time", "type", "record"}`.
//!
//! Shapes: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>. Levels:
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>, the mapping of system logs.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use wuwei_model::{ColdStart, FunctionKey, InvocationId, InvocationReport, Outcome, SystemLogLevel, Version};

use crate::files::rfc3339;
use crate::lines;

const ON_DEMAND: &str = "on-demand";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ColdStartRecord<'a> {
    request_id: &'a str,
    function_name: &'a str,
    function_version: String,
    queue_ms: f64,
    sandbox_ms: f64,
    runtime_ms: f64,
    init_ms: f64,
    handler_ms: f64,
}

/// An event, ready to be written, and how urgent it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) level: SystemLogLevel,
    pub(crate) text: String,
}

#[derive(Serialize)]
struct Document<'a, R> {
    time: String,
    r#type: &'a str,
    record: R,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitStart<'a> {
    initialization_type: &'a str,
    phase: &'a str,
    runtime_version: &'a str,
    runtime_version_arn: String,
    function_name: &'a str,
    function_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitReport<'a> {
    initialization_type: &'a str,
    phase: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    metrics: DurationMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    request_id: &'a str,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a, M> {
    request_id: &'a str,
    metrics: M,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DurationMetrics {
    duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportMetrics {
    duration_ms: f64,
    billed_duration_ms: u64,
    #[serde(rename = "memorySizeMB")]
    memory_size_mb: u32,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used_mb: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_duration_ms: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogsDropped<'a> {
    reason: &'a str,
    dropped_records: u64,
    dropped_bytes: u64,
}

/// Initialisation begins.
pub(crate) fn init_start(at: SystemTime, function: &FunctionKey, version: Version, runtime: &str) -> Event {
    let record = InitStart {
        initialization_type: ON_DEMAND,
        phase: "init",
        runtime_version: runtime,
        runtime_version_arn: lines::runtime_version_arn(&function.region, runtime),
        function_name: &function.name,
        function_version: version.to_string(),
    };
    event(at, SystemLogLevel::Info, "platform.initStart", record)
}

/// An initialisation that failed.
pub(crate) fn init_report(at: SystemTime, report: &wuwei_model::InitReport) -> Event {
    let record = InitReport {
        initialization_type: ON_DEMAND,
        phase: report.phase.as_str(),
        status: if report.error_type.is_some() { "error" } else { "timeout" },
        error_type: report.error_type.as_deref(),
        metrics: DurationMetrics { duration_ms: milliseconds(report.duration) },
    };
    event(at, SystemLogLevel::Warn, "platform.initReport", record)
}

/// An invocation begins.
pub(crate) fn start(at: SystemTime, request_id: &str, version: Version) -> Event {
    event(at, SystemLogLevel::Info, "platform.start", Start { request_id, version: version.to_string() })
}

/// The runtime is done with an invocation.
pub(crate) fn runtime_done(at: SystemTime, report: &InvocationReport) -> Event {
    let (status, error_type) = status_of(report);
    let metrics = DurationMetrics { duration_ms: milliseconds(report.duration) };
    let record = Done { request_id: report.id.as_str(), metrics, status, error_type };
    let level = if status == "success" { SystemLogLevel::Debug } else { SystemLogLevel::Warn };
    event(at, level, "platform.runtimeDone", record)
}

/// What an invocation used.
pub(crate) fn report(at: SystemTime, report: &InvocationReport) -> Event {
    let (status, error_type) = status_of(report);
    let metrics = ReportMetrics {
        duration_ms: milliseconds(report.duration),
        billed_duration_ms: report.billed_ms,
        memory_size_mb: report.memory_mb,
        max_memory_used_mb: lines::used_mb(report),
        init_duration_ms: report.init.map(milliseconds),
    };
    let level = if status == "success" { SystemLogLevel::Info } else { SystemLogLevel::Warn };
    event(at, level, "platform.report", Done { request_id: report.id.as_str(), metrics, status, error_type })
}

/// Lines of the function's were lost.
pub(crate) fn logs_dropped(at: SystemTime, dropped_records: u64, dropped_bytes: u64) -> Event {
    let reason = "The function wrote its log faster than it could be stored.";
    event(at, SystemLogLevel::Warn, "platform.logsDropped", LogsDropped { reason, dropped_records, dropped_bytes })
}

/// wuwei's own: the phases of a cold start, in milliseconds.
pub(crate) fn cold_start(
    at: SystemTime,
    id: &InvocationId,
    function: &FunctionKey,
    version: Version,
    cold_start: &ColdStart,
) -> String {
    let [queue, sandbox, runtime, init, handler] =
        cold_start.phases().map(|(_, duration)| duration.as_secs_f64() * 1_000.0);
    let record = ColdStartRecord {
        request_id: id.as_str(),
        function_name: &function.name,
        function_version: version.to_string(),
        queue_ms: queue,
        sandbox_ms: sandbox,
        runtime_ms: runtime,
        init_ms: init,
        handler_ms: handler,
    };
    event(at, SystemLogLevel::Info, "wuwei.coldStart", record).text
}

/// `failure` is the handler's own error, `error` is an environment that broke.
fn status_of(report: &InvocationReport) -> (&'static str, Option<&str>) {
    match (report.outcome, report.error_type.as_deref()) {
        (Outcome::Success, _) => ("success", None),
        (Outcome::Timeout, _) => ("timeout", None),
        (Outcome::FunctionError | Outcome::OutOfMemory | Outcome::Crash, Some(error_type)) => {
            ("error", Some(error_type))
        }
        (Outcome::FunctionError | Outcome::OutOfMemory | Outcome::Crash, None) => ("failure", None),
    }
}

fn event(at: SystemTime, level: SystemLogLevel, r#type: &str, record: impl Serialize) -> Event {
    let document = Document { time: rfc3339(at), r#type, record };
    let text = serde_json::to_string(&document).expect("texts and finite numbers are always JSON");
    Event { level, text }
}

/// Two digits after the point, rounded, as in the lines of the text format.
fn milliseconds(duration: Duration) -> f64 {
    let hundredths = u32::try_from((duration.as_micros() + 5) / 10).unwrap_or(u32::MAX);
    f64::from(hundredths) / 100.0
}

#[cfg(test)]
mod tests {
    use super::{init_report, init_start, logs_dropped, report, runtime_done, start};
    use std::time::{Duration, SystemTime};
    use wuwei_model::{
        FunctionKey, InitPhase, InitReport, InvocationId, InvocationReport, Outcome, SystemLogLevel, Version,
    };

    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_161_600_007)
    }

    fn sample(outcome: Outcome, init: Option<Duration>) -> InvocationReport {
        InvocationReport {
            id: InvocationId::new("id"),
            outcome,
            error_type: (outcome == Outcome::OutOfMemory).then(|| "Runtime.OutOfMemory".to_owned()),
            duration: Duration::from_micros(12_344),
            init,
            billed_ms: 13,
            memory_mb: 128,
            peak_memory_bytes: 39 * 1024 * 1024 + 1,
            cpu_us: 1,
        }
    }

    fn check(event: &super::Event, level: SystemLogLevel, expected: &str) {
        assert_eq!(event.level, level, "{expected}");
        assert_eq!(event.text, format!(r#"{{"time":"2026-11-20T08:00:00.007Z",{expected}}}"#));
    }

    #[test]
    fn events_have_the_form_of_aws() {
        check(
            &start(at(), "id", Version::Latest),
            SystemLogLevel::Info,
            r#""type":"platform.start","record":{"requestId":"id","version":"$LATEST"}"#,
        );
        check(
            &report(at(), &sample(Outcome::Success, Some(Duration::from_micros(98_760)))),
            SystemLogLevel::Info,
            r#""type":"platform.report","record":{"requestId":"id","metrics":{"durationMs":12.34,"billedDurationMs":13,"memorySizeMB":128,"maxMemoryUsedMB":40,"initDurationMs":98.76},"status":"success"}"#,
        );
        check(
            &report(at(), &sample(Outcome::OutOfMemory, None)),
            SystemLogLevel::Warn,
            r#""type":"platform.report","record":{"requestId":"id","metrics":{"durationMs":12.34,"billedDurationMs":13,"memorySizeMB":128,"maxMemoryUsedMB":128},"status":"error","errorType":"Runtime.OutOfMemory"}"#,
        );
        check(
            &runtime_done(at(), &sample(Outcome::Success, None)),
            SystemLogLevel::Debug,
            r#""type":"platform.runtimeDone","record":{"requestId":"id","metrics":{"durationMs":12.34},"status":"success"}"#,
        );
        check(
            &runtime_done(at(), &sample(Outcome::Timeout, None)),
            SystemLogLevel::Warn,
            r#""type":"platform.runtimeDone","record":{"requestId":"id","metrics":{"durationMs":12.34},"status":"timeout"}"#,
        );
        check(
            &logs_dropped(at(), 3, 400),
            SystemLogLevel::Warn,
            r#""type":"platform.logsDropped","record":{"reason":"The function wrote its log faster than it could be stored.","droppedRecords":3,"droppedBytes":400}"#,
        );
    }

    #[test]
    fn the_start_of_an_initialisation_names_runtime_and_function() {
        let key =
            FunctionKey { account: "000000000000".to_owned(), region: "eu-west-1".to_owned(), name: "f".to_owned() };
        let event = init_start(at(), &key, Version::Published(7), "python3.11");
        let document: serde_json::Value = serde_json::from_str(&event.text).unwrap();
        assert_eq!(document["type"], "platform.initStart");
        let record = &document["record"];
        assert_eq!(record["initializationType"], "on-demand");
        assert_eq!((&record["functionName"], &record["functionVersion"]), (&"f".into(), &"7".into()));
        assert!(record["runtimeVersionArn"].as_str().unwrap().starts_with("arn:aws:lambda:eu-west-1::runtime:"));
    }

    #[test]
    fn failed_initialisations_have_phase_and_status() {
        let mut failed = InitReport {
            phase: InitPhase::Invoke,
            duration: Duration::from_micros(10_000_250),
            error_type: Some("Runtime.ExitError".to_owned()),
        };
        check(
            &init_report(at(), &failed),
            SystemLogLevel::Warn,
            r#""type":"platform.initReport","record":{"initializationType":"on-demand","phase":"invoke","status":"error","errorType":"Runtime.ExitError","metrics":{"durationMs":10000.25}}"#,
        );
        failed.error_type = None;
        check(
            &init_report(at(), &failed),
            SystemLogLevel::Warn,
            r#""type":"platform.initReport","record":{"initializationType":"on-demand","phase":"invoke","status":"timeout","metrics":{"durationMs":10000.25}}"#,
        );
    }
}
