use super::{Direction, EventQuery, Position, read};
use crate::files::{day_file, day_of, part_file};
use crate::record::{Level, LogRecord};
use std::fs;
use std::path::Path;

const NOON_MS: i64 = 1_795_003_200_000;
const DAY_MS: i64 = 86_400_000;

fn record(time_ms: i64, stream: &str, message: &str) -> LogRecord {
    let (stream, message) = (stream.to_owned(), message.to_owned());
    LogRecord { time_ms, stream, request_id: None, level: Level::Function, message }
}

fn write(path: &Path, records: &[LogRecord]) {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.view().encode_to(&mut bytes));
    fs::write(path, bytes).unwrap();
}

fn query(direction: Direction, from: Option<Position>, limit: usize) -> EventQuery {
    let (message_bytes, examined_bytes) = (usize::MAX, u64::MAX);
    EventQuery { direction, from, since_ms: 0, until_ms: i64::MAX, limit, message_bytes, examined_bytes }
}

/// Three days, the second in two files; messages 0 to 11.
fn sample(root: &Path) -> Vec<String> {
    let files = [
        (day_file(root, day_of(NOON_MS)), NOON_MS),
        (day_file(root, day_of(NOON_MS + DAY_MS)), NOON_MS + DAY_MS),
        (part_file(root, day_of(NOON_MS + DAY_MS), 1), NOON_MS + DAY_MS + 10),
        (day_file(root, day_of(NOON_MS + 2 * DAY_MS)), NOON_MS + 2 * DAY_MS),
    ];
    let mut all = Vec::new();
    for (path, time_ms) in files {
        let records: Vec<LogRecord> = (0..3)
            .map(|index| record(time_ms + index, "s", &(all.len() + usize::try_from(index).unwrap()).to_string()))
            .collect();
        all.extend(records.iter().map(|record| record.message.clone()));
        write(&path, &records);
    }
    all
}

#[test]
fn pages_of_every_size_give_each_record_once_in_both_directions() {
    let root = tempfile::tempdir().unwrap();
    let all = sample(root.path());
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in 1..14 {
            let mut found: Vec<String> = Vec::new();
            let mut from = None;
            loop {
                let page = read(root.path(), &query(direction, from, limit), &|_| true).unwrap();
                assert!(page.records.len() <= limit);
                let messages = page.records.iter().map(|located| located.record.message.clone());
                match direction {
                    Direction::Forward => found.extend(messages),
                    Direction::Backward => found.splice(0..0, messages).for_each(drop),
                }
                from = Some(page.next);
                if page.is_complete {
                    break;
                }
            }
            assert_eq!(found, all, "{direction:?} by {limit}");
        }
    }
}

#[test]
fn reading_goes_on_with_what_was_written_since() {
    let root = tempfile::tempdir().unwrap();
    let path = day_file(root.path(), day_of(NOON_MS));
    let mut records = vec![record(NOON_MS, "s", "one")];
    write(&path, &records);
    let first = read(root.path(), &query(Direction::Forward, None, 10), &|_| true).unwrap();
    assert!(first.is_complete);
    let again = read(root.path(), &query(Direction::Forward, Some(first.next), 10), &|_| true).unwrap();
    assert_eq!((again.records.len(), again.next), (0, first.next));
    records.push(record(NOON_MS + 1, "s", "two"));
    write(&path, &records);
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"{\"time"))
        .unwrap();
    let second = read(root.path(), &query(Direction::Forward, Some(first.next), 10), &|_| true).unwrap();
    let messages: Vec<&str> = second.records.iter().map(|located| located.record.message.as_str()).collect();
    assert_eq!(messages, ["two"], "the line that is being written is left out");
}

#[test]
fn times_bytes_and_work_bound_a_page() {
    let root = tempfile::tempdir().unwrap();
    let all = sample(root.path());
    let within =
        EventQuery { since_ms: NOON_MS + 2, until_ms: NOON_MS + DAY_MS, ..query(Direction::Forward, None, 100) };
    for direction in [Direction::Forward, Direction::Backward] {
        let page = read(root.path(), &EventQuery { direction, ..within.clone() }, &|_| true).unwrap();
        let messages: Vec<&str> = page.records.iter().map(|located| located.record.message.as_str()).collect();
        assert_eq!(messages, ["2", "3"], "{direction:?}");
    }
    let small = EventQuery { message_bytes: 60, ..query(Direction::Forward, None, 100) };
    assert_eq!(read(root.path(), &small, &|_| true).unwrap().records.len(), 2);
    let lazy = EventQuery { examined_bytes: 1, ..query(Direction::Forward, None, 100) };
    let page = read(root.path(), &lazy, &|record| record.message == all[1]).unwrap();
    assert!(page.records.is_empty() && !page.is_complete);
    let page = read(root.path(), &EventQuery { from: Some(page.next), ..lazy }, &|_| true).unwrap();
    assert_eq!(page.records[0].record.message, all[1]);
}

#[test]
fn a_place_of_a_log_that_is_gone_finds_the_next_whole_record() {
    let root = tempfile::tempdir().unwrap();
    let path = day_file(root.path(), day_of(NOON_MS));
    write(&path, &[record(NOON_MS, "s", "one"), record(NOON_MS, "s", "two")]);
    let day = day_of(NOON_MS).to_julian_day();
    let inside = Position { day, part: 0, offset: 5 };
    let page = read(root.path(), &query(Direction::Forward, Some(inside), 10), &|_| true).unwrap();
    assert_eq!(page.records[0].record.message, "two");
    let beyond = Position { day, part: 0, offset: 1 << 40 };
    let page = read(root.path(), &query(Direction::Forward, Some(beyond), 10), &|_| true).unwrap();
    assert!(page.records.is_empty() && page.is_complete);
    let page = read(&root.path().join("none"), &query(Direction::Backward, None, 10), &|_| true).unwrap();
    assert!(page.records.is_empty() && page.is_complete);
}

#[test]
fn the_beginning_of_a_time_is_found_in_a_large_file() {
    let root = tempfile::tempdir().unwrap();
    let path = day_file(root.path(), day_of(NOON_MS));
    let long = "x".repeat(1_000);
    let records: Vec<LogRecord> =
        (0..2_000).map(|index| record(NOON_MS + index * 1_000, "s", &format!("{index} {long}"))).collect();
    write(&path, &records);
    for wanted in [0, 1, 700, 1_998, 1_999] {
        let since_ms = NOON_MS + wanted * 1_000;
        let query = EventQuery { since_ms, examined_bytes: 600_000, ..query(Direction::Forward, None, 1) };
        let page = read(root.path(), &query, &|_| true).unwrap();
        assert_eq!(page.records[0].record.time_ms, since_ms);
    }
}
