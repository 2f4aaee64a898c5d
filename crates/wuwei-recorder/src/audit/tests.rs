use std::fs;
use std::time::SystemTime;

use super::crowd::STRANGERS_PER_MINUTE;
use super::{AuditEntry, AuditLog, CHANGES, OTHERS, TOTAL_BYTES_MAX};
use crate::files::{day_file, day_of, part_file, parts, unix_ms};

fn entry(account: &str, action: &str, time_ms: i64) -> AuditEntry {
    let (account, action) = (account.to_owned(), action.to_owned());
    AuditEntry { account, action, time_ms, ..AuditEntry::default() }
}

fn change(account: &str, action: &str, time_ms: i64) -> AuditEntry {
    AuditEntry { is_change: true, ..entry(account, action, time_ms) }
}

#[tokio::test]
async fn entries_are_read_back_by_account_and_age_and_survive() {
    let directory = tempfile::tempdir().unwrap();
    let now = unix_ms(SystemTime::now());
    let log = AuditLog::open(directory.path()).unwrap();
    log.write("x", entry("1", "a", now - 2));
    log.write("x", change("2", "b", now - 1));
    log.write("x", change("1", "c", now));
    let log = AuditLog::open(directory.path()).unwrap();
    log.write("x", entry("1", "d", now + 1));
    let what = async |since_ms, limit| -> Vec<String> {
        log.read("1", since_ms, limit).await.unwrap().into_iter().map(|entry| entry.action).collect()
    };
    assert_eq!(what(0, 10).await, ["a", "c", "d"]);
    assert_eq!(what(0, 2).await, ["c", "d"]);
    assert_eq!(what(now, 10).await, ["c", "d"]);
}

#[tokio::test]
async fn a_flood_is_counted_and_hides_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let log = AuditLog::open(directory.path()).unwrap();
    let now = unix_ms(SystemTime::now()) / 60_000 * 60_000;
    for _ in 0..STRANGERS_PER_MINUTE + 5 {
        log.write("", entry("1", "stranger", now));
    }
    log.write("known", entry("1", "known", now));
    log.write("", change("1", "change", now));
    log.write("", entry("1", "later", now + 60_000));
    let entries = log.read("1", 0, 1_000).await.unwrap();
    assert_eq!(entries.len(), usize::try_from(STRANGERS_PER_MINUTE).unwrap() + 3);
    let last = entries.last().unwrap();
    assert_eq!((last.action.as_str(), last.left_out), ("later", 5));
}

#[test]
fn old_days_and_what_is_too_much_go_of_either_kind_for_itself() {
    let directory = tempfile::tempdir().unwrap();
    let log = AuditLog::open(directory.path()).unwrap();
    let today = day_of(unix_ms(SystemTime::now()));
    let (changes, others) = (directory.path().join(CHANGES), directory.path().join(OTHERS));
    let large = |directory| {
        let path = part_file(directory, today - time::Duration::days(2), 0);
        fs::File::create(&path).and_then(|file| file.set_len(TOTAL_BYTES_MAX)).unwrap();
        path
    };
    let old = day_file(&others, today - time::Duration::days(91));
    fs::write(&old, "x").unwrap();
    let (large_change, large_other) = (large(&changes), large(&others));
    log.write("x", entry("1", "a", 0));
    assert!(!old.exists() && !large_other.exists() && large_change.exists());
    assert_eq!(parts(&others).unwrap().len(), 1);
    log.write("x", change("1", "a", 0));
    assert!(!large_change.exists());
}
