use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::error::RecvError;
use wuwei_model::FunctionKey;

use super::{Recorder, RecorderError, Shared};
use crate::files;
use crate::holdings::LogLimits;
use crate::queue::Limits;
use crate::record::LogRecord;

impl Recorder {
    pub(crate) fn shared(&self) -> std::sync::Arc<Shared> {
        std::sync::Arc::clone(&self.shared)
    }
}

fn key(name: &str) -> FunctionKey {
    FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
}

fn say(recorder: &Recorder, function: &str, text: &str) {
    recorder.stream(&crate::testing::function(function), "i").line(SystemTime::now(), text);
}

async fn messages(recorder: &Recorder, function: &str, limit: usize) -> Vec<String> {
    let records = recorder.read(&key(function), 0, limit).await.unwrap();
    records.into_iter().map(|record| record.message).collect()
}

fn file_of_today(directory: &Path, function: &str) -> std::path::PathBuf {
    let today = files::day_of(files::unix_ms(SystemTime::now()));
    files::day_file(&files::function_directory(directory, &key(function)), today)
}

#[tokio::test]
async fn what_was_said_before_is_read_after_also_by_the_next_server() {
    let directory = tempfile::tempdir().unwrap();
    let recorder =
        Recorder::open(&directory.path().join("logs"), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    for number in 0..100 {
        say(&recorder, "f", &format!("{number}"));
    }
    say(&recorder, "g", "other");
    assert_eq!(messages(&recorder, "f", 3).await, ["97", "98", "99"]);
    assert_eq!(messages(&recorder, "g", 3).await, ["other"]);
    assert_eq!(messages(&recorder, "none", 3).await, [""; 0]);
    say(&recorder, "f", "last words");
    drop(recorder);
    let recorder =
        Recorder::open(&directory.path().join("logs"), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    assert_eq!(messages(&recorder, "f", 1).await, ["last words"]);
    let later = files::unix_ms(SystemTime::now()) + 1_000_000;
    assert_eq!(recorder.read(&key("f"), later, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_skipped_and_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    say(&recorder, "f", "before");
    drop(recorder);
    let path = file_of_today(directory.path(), "f");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&whole).unwrap();
        file.write_all(&whole[..length]).unwrap();
        let recorder =
            Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
        say(&recorder, "f", "after");
        let found = messages(&recorder, "f", 10).await;
        // Cut just before its newline, the line is whole.
        let expected: &[&str] =
            if length == whole.len() - 1 { &["before", "before", "after"] } else { &["before", "after"] };
        assert_eq!(found, expected, "cut after {length}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_streams_write_while_others_read_and_nothing_is_lost_or_mixed() {
    const STREAMS: usize = 8;
    const LINES: usize = 500;
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    let writers: Vec<_> = (0..STREAMS)
        .map(|number| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                let mut stream = recorder.stream(&crate::testing::function("f"), &format!("i{number}"));
                for line in 0..LINES {
                    stream.line(SystemTime::now(), &format!("{number} {line}"));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let records = recorder.read(&key("f"), 0, 50).await.unwrap();
        assert!(records.is_sorted_by_key(|record| record.time_ms));
        assert!(records.len() <= 50);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let records = recorder.read(&key("f"), 0, usize::MAX).await.unwrap();
    assert_eq!(records.len(), STREAMS * LINES);
    for number in 0..STREAMS {
        let own = records.iter().filter(|record| record.stream.ends_with(&format!("]i{number}")));
        let own: Vec<_> = own.map(|record| record.message.clone()).collect();
        assert_eq!(own, (0..LINES).map(|line| format!("{number} {line}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn followers_see_new_records_of_their_function_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    say(&recorder, "f", "before");
    recorder.flush().await;
    let mut first = recorder.follow(&key("f"));
    let mut second = recorder.follow(&key("f"));
    say(&recorder, "g", "other");
    say(&recorder, "f", "1");
    say(&recorder, "f", "2");
    for follower in [&mut first, &mut second] {
        assert_eq!(follower.recv().await.unwrap().message, "1");
        assert_eq!(follower.recv().await.unwrap().message, "2");
    }
    // What is shown can be read.
    assert_eq!(messages(&recorder, "f", 1).await, ["2"]);
    drop((first, second));
    say(&recorder, "f", "3");
    let mut third = recorder.follow(&key("f"));
    say(&recorder, "f", "4");
    let next = third.recv().await.unwrap().message;
    assert!(next == "3" || next == "4");
    drop(recorder);
    while let Ok(LogRecord { .. }) = third.recv().await {}
}

#[tokio::test]
async fn a_follower_that_lags_is_told_how_many_records_it_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
    let mut follower = recorder.follow(&key("f"));
    for number in 0..5_000 {
        say(&recorder, "f", &format!("{number}"));
    }
    writer.step(Duration::ZERO);
    assert_eq!(follower.recv().await.unwrap_err(), RecvError::Lagged(5_000 - 4_096));
    assert_eq!(follower.recv().await.unwrap().message, "904");
}

#[tokio::test]
async fn a_forgotten_log_is_gone_and_may_begin_again() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    say(&recorder, "f", "secret");
    say(&recorder, "g", "kept");
    recorder.forget(&key("f")).await.unwrap();
    assert!(!files::function_directory(directory.path(), &key("f")).exists());
    recorder.forget(&key("f")).await.unwrap();
    say(&recorder, "f", "new");
    assert_eq!(messages(&recorder, "f", 10).await, ["new"]);
    assert_eq!(messages(&recorder, "g", 10).await, ["kept"]);
}

#[tokio::test]
async fn more_functions_than_open_files_are_all_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    for round in 0..2 {
        for function in 0..150 {
            say(&recorder, &format!("f{function}"), &format!("{round}"));
        }
        recorder.flush().await;
    }
    for function in 0..150 {
        assert_eq!(messages(&recorder, &format!("f{function}"), 10).await, ["0", "1"]);
    }
}

#[tokio::test]
async fn old_logs_go_when_it_is_known_how_long_they_are_kept_and_when_a_day_begins() {
    let directory = tempfile::tempdir().unwrap();
    let today = files::day_of(files::unix_ms(SystemTime::now()));
    let function_directory = files::function_directory(directory.path(), &key("f"));
    fs::create_dir_all(&function_directory).unwrap();
    let old = files::day_file(&function_directory, today - time::Duration::days(15));
    let recent = files::day_file(&function_directory, today - time::Duration::days(14));
    fs::write(&old, "").unwrap();
    fs::write(&recent, "").unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), Limits::default());
    writer.sweep_daily(today - time::Duration::days(1));
    assert!(old.exists(), "nothing goes before it is known how long it is to be kept");
    writer.sweep_daily(today);
    let (retained, _) = tokio::join!(recorder.retain([]), async { writer.step(std::time::Duration::ZERO) });
    retained.unwrap();
    assert!(!old.exists() && recent.exists());
    writer.sweep_daily(today);
    assert!(recent.exists());
    writer.sweep_daily(today + time::Duration::days(1));
    assert!(!recent.exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_written_loses_its_records_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    // A file in the place of the function's directory.
    fs::create_dir_all(directory.path().join("000000000000/us-east-1")).unwrap();
    fs::write(directory.path().join("000000000000/us-east-1/f"), "").unwrap();
    say(&recorder, "f", "lost");
    say(&recorder, "g", "kept");
    assert_eq!(messages(&recorder, "g", 10).await, ["kept"]);
    assert!(matches!(recorder.read(&key("f"), 0, 10).await, Err(RecorderError::Io { .. })));
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes: 100, total_bytes: 100, ..Limits::default() };
    let (recorder, writer) = Recorder::held(directory.path(), limits);
    say(&recorder, "f", "1");
    drop(writer);
    let mut stream = recorder.stream(&crate::testing::function("f"), "i");
    for _ in 0..10 {
        stream.platform_line(SystemTime::now(), "into the void");
    }
    recorder.flush().await;
    assert!(matches!(recorder.read(&key("f"), 0, 10).await, Err(RecorderError::Stopped)));
}

#[test]
fn a_directory_that_cannot_be_made_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Recorder::open(&path.join("logs"), &path.join("ledger"), LogLimits::default()).unwrap_err();
    assert!(error.to_string().contains("make the log directory `"), "{error}");
}

/// Bytes of the files of a function's log.
fn size_on_disk(directory: &Path, function: &str) -> u64 {
    let parts = files::parts(&files::function_directory(directory, &key(function))).unwrap();
    parts.iter().map(|part| fs::metadata(&part.path).unwrap().len()).sum()
}

fn small_disk() -> Limits {
    Limits { disk: LogLimits { function_bytes: 40_000, total_bytes: 100_000 }, ..Limits::default() }
}

#[tokio::test]
async fn a_log_never_takes_more_than_its_limit_and_says_what_went() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), small_disk());
    let mut stream = recorder.stream(&crate::testing::function("f"), "i");
    for number in 0..2_000 {
        stream.line(SystemTime::now(), &format!("line {number}"));
        writer.step(Duration::ZERO);
        assert!(size_on_disk(directory.path(), "f") <= 40_000, "after line {number}");
    }
    assert!(size_on_disk(directory.path(), "f") > 20_000, "no more than needed is removed");
    let read = tokio::spawn(async move { recorder.read(&key("f"), 0, usize::MAX).await.unwrap() });
    while !read.is_finished() {
        writer.step(Duration::ZERO);
        tokio::task::yield_now().await;
    }
    let messages: Vec<_> = read.await.unwrap().into_iter().map(|record| record.message).collect();
    let (told, lines): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.starts_with("wuwei: "));
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|words| words.contains("were removed: one function's may take 40000 bytes (`log_bytes_per")),
        "{told:?}"
    );
    // The youngest lines are there, without a gap.
    let expected: Vec<_> = (2_000 - lines.len()..2_000).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn all_logs_together_have_a_limit_and_the_largest_give_way() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = Recorder::held(directory.path(), small_disk());
    say(&recorder, "quiet", "kept");
    for number in 0..200 {
        for function in 0..8 {
            say(&recorder, &format!("f{function}"), &format!("line {number}"));
        }
        writer.step(Duration::ZERO);
        let total: u64 = (0..8).map(|function| size_on_disk(directory.path(), &format!("f{function}"))).sum();
        assert!(total <= 100_000, "{total} bytes after line {number}");
    }
    drop((recorder, writer));
    let limits = small_disk().disk;
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), limits).unwrap();
    assert_eq!(messages(&recorder, "quiet", 10).await, ["kept"]);
    let noisy = messages(&recorder, "f0", usize::MAX).await;
    assert_eq!(noisy.iter().rfind(|message| message.starts_with("line ")).unwrap(), "line 199");
    assert!(noisy.iter().any(|message| message.contains("all logs may take 100000 bytes (`log_bytes_total`)")));
}

#[tokio::test]
async fn what_is_too_much_at_the_start_goes_then() {
    let directory = tempfile::tempdir().unwrap();
    let today = files::day_of(files::unix_ms(SystemTime::now()));
    let function_directory = files::function_directory(directory.path(), &key("f"));
    fs::create_dir_all(&function_directory).unwrap();
    for days in 0..3 {
        fs::write(files::day_file(&function_directory, today - time::Duration::days(days)), [b'\n'; 14_000]).unwrap();
    }
    let (_recorder, _writer) = Recorder::held(directory.path(), small_disk());
    let days: Vec<_> = files::parts(&function_directory).unwrap().into_iter().map(|part| part.day).collect();
    assert_eq!(days.first(), Some(&(today - time::Duration::days(1))));
}

#[tokio::test]
async fn one_stream_of_a_log_can_be_removed_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(directory.path(), &directory.path().join("ledger"), LogLimits::default()).unwrap();
    say(&recorder, "f", "first");
    recorder.stream(&crate::testing::function("f"), "j").line(SystemTime::now(), "second");
    let streams = recorder.summary(&key("f")).await.unwrap().streams;
    let names: Vec<String> = streams.into_iter().map(|stream| stream.name).collect();
    let gone = names.first().cloned().unwrap();
    let before = messages(&recorder, "f", 10).await.len();
    recorder.clear(&key("f"), Some(&gone)).await.unwrap();
    let left = recorder.read(&key("f"), 0, 10).await.unwrap();
    assert!(left.len() < before && left.iter().all(|record| record.stream != gone));
    assert_eq!(recorder.summary(&key("f")).await.unwrap().streams.len(), names.len() - 1);
    say(&recorder, "f", "third");
    assert!(messages(&recorder, "f", 10).await.contains(&"third".to_owned()));
}
