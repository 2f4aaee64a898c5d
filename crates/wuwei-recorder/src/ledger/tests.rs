use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::Date;
use wuwei_model::{Architecture, FunctionKey, InvocationId, InvocationReport, Outcome, Version};

use super::segment::{self, Segment};
use super::{Entry, Ledger, Usage, usage};

const NOON_MS: u64 = 1_795_003_200_000;
const DAY_MS: u64 = 86_400_000;

fn entry(name: &str, number: u64, time_ms: u64) -> Entry {
    let key = FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() };
    let report = InvocationReport {
        id: InvocationId::new(format!("00000000-0000-4000-8000-{number:012}")),
        outcome: if number % 4 == 3 { Outcome::FunctionError } else { Outcome::Success },
        error_type: None,
        duration: Duration::from_micros(1_000 + number),
        init: (number == 0).then_some(Duration::from_micros(500)),
        billed_ms: 2,
        memory_mb: 256,
        peak_memory_bytes: number,
        cpu_us: 10,
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(time_ms);
    Entry::new(at, &Arc::new(key), Version::Latest, Architecture::X86_64, 1_024, &report)
}

fn day(time_ms: u64) -> Date {
    entry("f", 0, time_ms).day()
}

fn read(path: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    segment::read(path, |entry| entries.push(entry)).unwrap();
    entries
}

#[tokio::test]
async fn sums_are_exact_and_survive_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    for start in 0..2 {
        let ledger = Ledger::open(directory.path()).unwrap();
        for number in 0..10 {
            ledger.append(entry("f", number, NOON_MS));
            ledger.append(entry("g", number, NOON_MS + DAY_MS * (number % 2)));
        }
        let rows = ledger.usage(day(NOON_MS), day(NOON_MS)).await.unwrap();
        let times = u64::from(start + 1_u32);
        let of = |name: &str| rows.iter().find(|row| row.function.name == name).unwrap().usage;
        let n = u128::from(times);
        let expected = Usage {
            requests: 10 * times,
            errors: 2 * times,
            cold_starts: times,
            duration_us: n * (10_000 + 45),
            init_us: n * 500,
            cpu_us: n * 100,
            billed_ms: n * 20,
            x86_mb_ms: n * 20 * 256,
            arm_mb_ms: 0,
            storage_mb_ms: n * 20 * 512,
            peak_bytes: 9,
        };
        assert_eq!(of("f"), expected);
        assert_eq!(of("g").requests, 5 * times);
        assert_eq!(rows.len(), 2);
        assert_eq!((ledger.written(), ledger.lost()), (20, 0));
        let both = ledger.usage(day(NOON_MS), day(NOON_MS + DAY_MS)).await.unwrap();
        assert_eq!(both.iter().map(|row| row.usage.requests).sum::<u64>(), 20 * times);
        assert_eq!(ledger.usage(day(NOON_MS - DAY_MS), day(NOON_MS - DAY_MS)).await.unwrap(), []);
    }
}

#[test]
fn what_waits_is_written_when_the_ledger_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(entry("f", 1, NOON_MS));
    drop(ledger);
    let rows = usage::sum(directory.path(), day(NOON_MS), day(NOON_MS)).unwrap();
    assert_eq!(rows[0].usage.requests, 1);
}

#[tokio::test]
async fn entries_reach_the_disk_without_anybody_asking() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(entry("f", 1, NOON_MS));
    let written = async {
        while ledger.written() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), written).await.expect("an entry is written within a second");
    let rows = usage::sum(directory.path(), day(NOON_MS), day(NOON_MS)).unwrap();
    assert_eq!(rows[0].usage.requests, 1);
}

#[test]
fn a_segment_torn_anywhere_keeps_the_entries_before_the_tear() {
    let directory = tempfile::tempdir().unwrap();
    let entries: Vec<Entry> = (0..3).map(|number| entry(["f", "g", "f"][number], 1, NOON_MS)).collect();
    let mut segment = Segment::begin(directory.path(), day(NOON_MS)).unwrap();
    let (_, _, path) = segment::list(directory.path()).unwrap().remove(0);
    let mut lengths = Vec::new();
    for entry in &entries {
        segment.append(std::slice::from_ref(entry)).unwrap();
        lengths.push(fs::metadata(&path).unwrap().len());
    }
    let whole = fs::read(&path).unwrap();
    let torn = directory.path().join("torn");
    for length in 0..=whole.len() {
        fs::write(&torn, &whole[..length]).unwrap();
        let kept = lengths.iter().filter(|end| **end <= u64::try_from(length).unwrap()).count();
        assert_eq!(read(&torn), entries[..kept], "torn at {length}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&torn, &damaged).unwrap();
        for (position, found) in read(&torn).iter().enumerate() {
            assert_eq!(*found, entries[position], "damaged at {at}");
        }
    }
}

#[test]
fn every_start_begins_a_segment_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    for expected in 0..3_u64 {
        let mut segment = Segment::begin(directory.path(), day(NOON_MS)).unwrap();
        segment.append(&[entry("f", expected, NOON_MS)]).unwrap();
        let listed = segment::list(directory.path()).unwrap();
        assert_eq!(listed.last().map(|(_, number, _)| *number), Some(expected));
    }
    fs::write(directory.path().join("notes.txt"), "").unwrap();
    assert_eq!(segment::list(directory.path()).unwrap().len(), 3);
}

#[tokio::test]
async fn a_disk_that_refuses_is_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("ledger");
    let ledger = Ledger::open(&directory).unwrap();
    fs::remove_dir(&directory).unwrap();
    ledger.append(entry("f", 1, NOON_MS));
    ledger.sync().await.unwrap_err();
    assert_eq!((ledger.written(), ledger.lost()), (0, 0));
    fs::create_dir(&directory).unwrap();
    ledger.sync().await.unwrap();
    assert_eq!((ledger.written(), ledger.lost()), (1, 0));
}

#[tokio::test]
async fn cpu_time_that_comes_after_an_entry_is_in_the_sums_and_what_comes_too_late_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(directory.path()).unwrap());
    let open = ledger.append_open(entry("f", 1, NOON_MS));
    let reading = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.usage(day(NOON_MS), day(NOON_MS)).await.unwrap() }
    });
    // Whoever reads waits for it.
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    assert!(open.complete(90));
    assert_eq!(reading.await.unwrap()[0].usage.cpu_us, 10 + 90);

    // But not for ever: an environment that cannot be frozen must not hold up the ledger.
    let late = ledger.append_open(entry("f", 2, NOON_MS));
    assert_eq!(ledger.usage(day(NOON_MS), day(NOON_MS)).await.unwrap()[0].usage.cpu_us, 10 + 90 + 10);
    assert!(!late.complete(7));
    // One that is gone is not waited for at all.
    drop(ledger.append_open(entry("f", 3, NOON_MS)));
    assert_eq!(ledger.usage(day(NOON_MS), day(NOON_MS)).await.unwrap()[0].usage.requests, 3);
}
