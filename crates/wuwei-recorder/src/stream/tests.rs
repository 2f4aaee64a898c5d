use std::path::Path;
use std::time::{Duration, SystemTime};

use wuwei_model::{
    ApplicationLogLevel, FunctionKey, FunctionVersion, InvocationId, InvocationReport, LogFormat, Outcome,
    SystemLogLevel, Version,
};

use super::MESSAGE_BYTES_MAX;
use crate::queue::Limits;
use crate::rate::Rate;
use crate::record::{Level, LogRecord};
use crate::recorder::Recorder;
use crate::testing::function;
use crate::{files, read};

fn key() -> FunctionKey {
    FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: "f".to_owned() }
}

fn id(number: u32) -> InvocationId {
    InvocationId::new(format!("00000000-0000-4000-8000-{number:012}"))
}

fn report(number: u32) -> InvocationReport {
    InvocationReport {
        id: id(number),
        outcome: Outcome::Success,
        error_type: None,
        duration: Duration::from_millis(2),
        init: None,
        billed_ms: 2,
        memory_mb: 128,
        peak_memory_bytes: 1,
        cpu_us: 0,
    }
}

fn stored(directory: &Path) -> Vec<LogRecord> {
    read::newest(&files::function_directory(directory, &key()), 0, usize::MAX).unwrap()
}

fn messages(records: &[LogRecord]) -> Vec<&str> {
    records.iter().map(|record| record.message.as_str()).collect()
}

#[test]
fn a_stream_is_named_by_day_version_and_instance() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, _writer) = Recorder::held(directory.path(), Limits::default());
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_123);
    let name = |version| {
        let stream = super::LogStream::new(
            recorder.shared(),
            &FunctionVersion { version, ..function("f") },
            "0123456789abcdef0123456789abcdef",
            at,
        );
        stream.name().to_owned()
    };
    assert_eq!(name(Version::Latest), "2026/11/18/[$LATEST]0123456789abcdef0123456789abcdef");
    assert_eq!(name(Version::Published(7)), "2026/11/18/[7]0123456789abcdef0123456789abcdef");
}

#[test]
fn an_invocation_leaves_its_lines_in_order_with_its_request_id() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
    let mut stream = recorder.stream(&function("f"), "i");
    let now = SystemTime::now();
    stream.init_start(now, "python3.11");
    stream.line(now, "importing");
    stream.start(now, &id(1));
    stream.line(now, "hello\nworld");
    stream.platform_line(now, "trouble");
    stream.end(now, &report(1));
    let tail = String::from_utf8(stream.tail()).unwrap();
    stream.line(now, "in between");
    writer.step(Duration::ZERO);

    let records = stored(directory.path());
    let lines = messages(&records);
    assert!(lines[0].starts_with("INIT_START Runtime Version: python3.11\t"));
    let start = format!("START RequestId: {} Version: $LATEST", id(1));
    let end = format!("END RequestId: {}", id(1));
    assert_eq!(lines[1..6], ["importing", &start, "hello\nworld", "trouble", &end]);
    assert!(lines[6].starts_with("REPORT RequestId: ") && lines[6].ends_with("Max Memory Used: 1 MB\t"));
    assert_eq!(lines[7], "in between");
    let levels: Vec<_> = records.iter().map(|record| record.level == Level::Function).collect();
    assert_eq!(levels, [false, true, false, true, false, false, false, true]);
    let owned: Vec<_> = records.iter().map(|record| record.request_id.as_deref() == Some(id(1).as_str())).collect();
    assert_eq!(owned, [false, false, true, true, true, true, true, false]);
    assert!(records.iter().all(|record| record.stream == stream.name()));
    assert_eq!(tail, format!("{}\n", lines[2..7].join("\n")));
}

#[test]
fn the_tail_is_that_of_the_last_invocation_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, _writer) = Recorder::held(directory.path(), Limits::default());
    let mut stream = recorder.stream(&function("f"), "i");
    let now = SystemTime::now();
    for number in 1..=2 {
        stream.start(now, &id(number));
        stream.line(now, &format!("line of {number}"));
        stream.end(now, &report(number));
    }
    let tail = String::from_utf8(stream.tail()).unwrap();
    assert!(tail.starts_with(&format!("START RequestId: {}", id(2))));
    assert!(tail.contains("line of 2\n") && !tail.contains("line of 1") && tail.ends_with("MB\t\n"));
}

#[test]
fn a_message_that_is_too_long_is_split_between_characters() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
    let mut stream = recorder.stream(&function("f"), "i");
    let exact = "x".repeat(MESSAGE_BYTES_MAX);
    let long = "日".repeat(MESSAGE_BYTES_MAX / 3 + 1);
    for text in [&*exact, &long, ""] {
        stream.line(SystemTime::now(), text);
    }
    writer.step(Duration::ZERO);
    let records = stored(directory.path());
    let lines = messages(&records);
    assert_eq!(lines.len(), 4);
    assert_eq!((lines[0], lines[1..3].concat(), lines[3]), (&*exact, long, ""));
    assert!(lines[1].len() <= MESSAGE_BYTES_MAX && lines[1].len() > MESSAGE_BYTES_MAX - 3);
}

#[test]
fn lines_beyond_the_room_are_counted_and_the_platforms_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes: 1 << 20, total_bytes: 10_000, ..Limits::default() };
    let (recorder, mut writer) = Recorder::held(directory.path(), limits);
    let mut stream = recorder.stream(&function("f"), "i");
    let now = SystemTime::now();
    stream.start(now, &id(1));
    for number in 0..100 {
        stream.line(now, &format!("line {number}"));
    }
    stream.end(now, &report(1));
    writer.step(Duration::ZERO);
    let records = stored(directory.path());
    let kept = records.iter().filter(|record| record.level == Level::Function).count();
    assert!((10..100).contains(&kept), "{kept}");
    let lost = format!("wuwei: {} lines lost here: the log was written faster than it could be stored", 100 - kept);
    let end = format!("END RequestId: {}", id(1));
    assert_eq!(messages(&records)[kept + 1..kept + 3], [&*lost, &end]);
    assert_eq!(records[kept + 1].level, Level::Platform);
    assert!(records.last().unwrap().message.starts_with("REPORT"));
    // The caller's tail does not depend on the disk.
    assert!(String::from_utf8(stream.tail()).unwrap().contains("line 99\nEND "));
}

#[test]
fn a_loss_is_told_before_the_next_line_that_finds_room() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes: 1 << 20, total_bytes: 600, ..Limits::default() };
    let (recorder, mut writer) = Recorder::held(directory.path(), limits);
    let mut stream = recorder.stream(&function("f"), "i");
    for text in ["1", "2", "3", "4"] {
        stream.line(SystemTime::now(), text);
    }
    writer.step(Duration::ZERO);
    stream.line(SystemTime::now(), "5");
    writer.step(Duration::ZERO);
    let lost = "wuwei: 2 lines lost here: the log was written faster than it could be stored";
    assert_eq!(messages(&stored(directory.path())), ["1", "2", lost, "5"]);
}

#[test]
fn a_loss_at_the_end_of_a_stream_is_told_too() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) =
        Recorder::held(directory.path(), Limits { stream_bytes: 300, total_bytes: 1 << 20, ..Limits::default() });
    let mut stream = recorder.stream(&function("f"), "i");
    stream.line(SystemTime::now(), "1");
    stream.line(SystemTime::now(), "2");
    drop(stream);
    writer.step(Duration::ZERO);
    let lost = "wuwei: 1 lines lost here: the log was written faster than it could be stored";
    assert_eq!(messages(&stored(directory.path())), ["1", lost]);
}

#[test]
fn a_noisy_stream_does_not_take_the_room_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes: 2_000, total_bytes: 1 << 20, ..Limits::default() };
    let (recorder, mut writer) = Recorder::held(directory.path(), limits);
    let mut noisy = recorder.stream(&function("f"), "noisy");
    let mut quiet = recorder.stream(&function("f"), "quiet");
    for _ in 0..1_000 {
        noisy.line(SystemTime::now(), "noise");
    }
    quiet.line(SystemTime::now(), "word");
    writer.step(Duration::ZERO);
    let records = stored(directory.path());
    assert!(records.len() < 20);
    assert!(messages(&records).contains(&"word"));
    // What has been written is no backlog any more.
    noisy.line(SystemTime::now(), "again");
    writer.step(Duration::ZERO);
    assert!(messages(&stored(directory.path())).contains(&"again"));
}

#[test]
fn platform_lines_wait_for_room_and_all_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes: 1 << 20, total_bytes: 1_000, ..Limits::default() };
    let (recorder, mut writer) = Recorder::held(directory.path(), limits);
    let mut stream = recorder.stream(&function("f"), "i");
    let thread = std::thread::spawn(move || {
        for number in 0..200 {
            stream.platform_line(SystemTime::now(), &format!("{number:03}"));
        }
    });
    drop(recorder);
    // Until the stream, which holds the last handle, is dropped.
    while writer.step(Duration::from_secs(60)) {}
    thread.join().unwrap();
    let records = stored(directory.path());
    let expected: Vec<_> = (0..200).map(|number| format!("{number:03}")).collect();
    assert_eq!(messages(&records), expected);
}

fn json_function(application: ApplicationLogLevel, system: SystemLogLevel) -> FunctionVersion {
    let mut function = function("f");
    function.settings.logging.format = LogFormat::Json { application, system };
    function
}

/// Types of the platform's events, and the function's lines.
fn kinds(records: &[LogRecord]) -> Vec<String> {
    let kind = |record: &LogRecord| {
        let document: Option<serde_json::Value> = serde_json::from_str(&record.message).ok();
        document.map_or_else(|| record.message.clone(), |document| document["type"].as_str().unwrap().to_owned())
    };
    records.iter().map(kind).collect()
}

#[test]
fn json_has_the_platforms_events_as_documents_of_the_level_that_is_asked_for() {
    let check = |system, expected: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
        let mut stream = recorder.stream(&json_function(ApplicationLogLevel::Info, system), "i");
        let now = SystemTime::now();
        stream.init_start(now, "python3.11");
        stream.start(now, &id(1));
        stream.line(now, "plain text");
        stream.end(now, &report(1));
        stream.start(now, &id(2));
        stream.end(now, &InvocationReport { outcome: Outcome::Crash, ..report(2) });
        writer.step(Duration::ZERO);
        assert_eq!(kinds(&stored(directory.path())), expected);
    };
    check(
        SystemLogLevel::Debug,
        &[
            "platform.initStart",
            "platform.start",
            "plain text",
            "platform.runtimeDone",
            "platform.report",
            "platform.start",
            "platform.runtimeDone",
            "platform.report",
        ],
    );
    check(
        SystemLogLevel::Info,
        &[
            "platform.initStart",
            "platform.start",
            "plain text",
            "platform.report",
            "platform.start",
            "platform.runtimeDone",
            "platform.report",
        ],
    );
    check(SystemLogLevel::Warn, &["plain text", "platform.runtimeDone", "platform.report"]);
}

#[test]
fn json_leaves_out_lines_of_a_level_that_is_not_asked_for_also_in_the_tail() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
    let mut stream = recorder.stream(&json_function(ApplicationLogLevel::Warn, SystemLogLevel::Warn), "i");
    let now = SystemTime::now();
    stream.start(now, &id(1));
    let line = |level: &str| format!(r#"{{"level":"{level}","timestamp":"2026-11-20T08:00:00Z","type":"{level}"}}"#);
    for level in ["debug", "info", "warn", "ERROR"] {
        stream.line(now, &line(level));
    }
    stream.line(now, "plain text");
    writer.step(Duration::ZERO);
    assert_eq!(kinds(&stored(directory.path())), ["warn", "ERROR"]);
    assert_eq!(stream.tail(), format!("{}\n{}\n", line("warn"), line("ERROR")).into_bytes());
}

#[test]
fn a_function_that_is_faster_than_its_rate_loses_lines_and_the_log_and_the_numbers_say_so() {
    let directory = tempfile::tempdir().unwrap();
    // Each line counts with 256 bytes of overhead; an hour is needed for the next one.
    let rate = Rate { bytes_per_second: 0, burst_bytes: 3 * 260 };
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits { rate, ..Limits::default() });
    let function = json_function(ApplicationLogLevel::Info, SystemLogLevel::Warn);
    let (mut one, mut other) = (recorder.stream(&function, "a"), recorder.stream(&function, "b"));
    let now = SystemTime::now();
    one.start(now, &id(1));
    one.line(now, "0001");
    other.line(now, "0002");
    one.line(now, "0003");
    for _ in 0..5 {
        one.line(now, "lost");
    }
    one.end(now, &report(1));
    writer.step(Duration::ZERO);
    let records = stored(directory.path());
    assert_eq!(kinds(&records), ["0001", "0002", "0003", "platform.logsDropped"]);
    assert!(records[3].message.contains(r#""droppedRecords":5,"droppedBytes":20"#), "{}", records[3].message);
    let snapshot = recorder.snapshot();
    assert_eq!(snapshot.lost_log_lines, 5);
    assert_eq!((snapshot.functions[0].1.lost_log_lines, snapshot.functions[0].1.invocations), (5, 1));
}
