use std::sync::Arc;

use super::recovery::Recovered;
use super::{AppendError, Frame, Log, OpenError, Written, segment};
use crate::files::simulated::{Fault, SimulatedFiles};
use crate::random::Random;

const SEGMENT_BYTES: u64 = 4_096;
const CAPACITY: u64 = 1 << 20;

type Records = Vec<(u64, Vec<u8>)>;

fn open(files: &SimulatedFiles) -> Result<(Log, Records, Recovered), OpenError> {
    let mut records = Vec::new();
    let (log, recovered) = Log::open(Arc::new(files.clone()), SEGMENT_BYTES, |visit| {
        assert_eq!(visit.kind, 1);
        records.push((visit.sequence, visit.payload.to_vec()));
        true
    })?;
    Ok((log, records, recovered))
}

fn records(files: &SimulatedFiles) -> Records {
    open(files).unwrap().1
}

fn frame(payload: Vec<u8>) -> Frame {
    Frame { kind: 1, payload }
}

/// Appends a batch of payloads that must be written.
fn append(log: &mut Log, payloads: &[&[u8]]) -> Vec<Written> {
    let frames: Vec<_> = payloads.iter().map(|payload| frame(payload.to_vec())).collect();
    let (written, error) = log.append(&frames);
    assert!(error.is_none(), "{error:?}");
    written
}

fn payloads(records: &Records) -> Vec<&[u8]> {
    records.iter().map(|(_, payload)| payload.as_slice()).collect()
}

#[test]
fn records_are_read_back_in_order_over_many_segments() {
    let files = SimulatedFiles::new(CAPACITY);
    let mut expected = Vec::new();
    for start in 0..3_u8 {
        let (mut log, found, recovered) = open(&files).unwrap();
        assert_eq!((found, recovered.torn_bytes), (expected.clone(), 0));
        for number in 0..20_u8 {
            let batch: Vec<_> =
                (0..=number % 5).map(|part| vec![start * 50 + number; usize::from(part) * 100]).collect();
            let batch: Vec<_> = batch.iter().map(Vec::as_slice).collect();
            for (written, payload) in append(&mut log, &batch).iter().zip(&batch) {
                assert_eq!(log.segments().read(written.place).unwrap().1, *payload);
                expected.push((written.sequence, payload.to_vec()));
            }
        }
    }
    let sequences: Vec<_> = expected.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, (1..=expected.len() as u64).collect::<Vec<_>>());
    assert!(open(&files).unwrap().0.segments.numbers().len() > 3);
}

#[test]
fn one_batch_is_one_sync() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    append(&mut log, &[b"first"]);
    let before = files.syncs();
    append(&mut log, &[b"a".as_slice(); 50]);
    assert_eq!(files.syncs(), before + 1);
}

#[test]
fn a_tail_that_is_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    append(&mut log, &[b"one", b"two"]);
    let synced_end = log.current.as_ref().unwrap().offset;
    append(&mut log, &[b"three", b"four", b"five"]);
    let end = log.current.as_ref().unwrap().offset;
    let whole = files.bytes(&segment::name(1));
    for cut in usize::try_from(synced_end).unwrap()..usize::try_from(end).unwrap() {
        let torn = SimulatedFiles::new(CAPACITY);
        torn.put(&segment::name(1), &[&whole[..cut], &vec![0; whole.len() - cut]].concat());
        let (mut log, found, recovered) = open(&torn).unwrap();
        let kept = payloads(&found);
        assert!([b"one".as_slice(), b"two", b"three", b"four", b"five"].starts_with(&kept) && kept.len() >= 2);
        // Within a frame there is more than zeros, but for its last bytes, which may be zeros.
        assert!(kept.len() < 5 || recovered.torn_bytes == 0);
        append(&mut log, &[b"after"]);
        let again = records(&torn);
        assert_eq!(payloads(&again), [&kept[..], &[b"after"]].concat(), "cut at {cut}");
    }
}

#[test]
fn what_was_acknowledged_survives_any_power_loss_and_any_kill() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut files = SimulatedFiles::new(CAPACITY);
        let mut acknowledged: Records = Vec::new();
        let mut tried: Vec<Vec<u8>> = Vec::new();
        for _life in 0..3 {
            let (mut log, found, _) = open(&files).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            // All that was answered, in its place; and nothing that was never given.
            for (sequence, payload) in &acknowledged {
                assert_eq!(found.get(usize::try_from(*sequence - 1).unwrap()), Some(&(*sequence, payload.clone())));
            }
            assert!(found.iter().all(|(_, payload)| tried.contains(payload)));
            acknowledged = found;
            files.lose_power_after(random.below(60));
            for _ in 0..30 {
                let batch: Vec<Vec<u8>> = (0..=random.below(4))
                    .map(|_| {
                        [random.next().to_le_bytes().repeat(1 + usize::try_from(random.below(100)).unwrap())].concat()
                    })
                    .collect();
                tried.extend(batch.iter().cloned());
                let frames: Vec<_> = batch.iter().cloned().map(frame).collect();
                if random.below(12) == 0 {
                    files.inject(*random.pick(&[Fault::Sync, Fault::Write]));
                }
                let (written, _) = log.append(&frames);
                acknowledged.extend(written.iter().zip(batch).map(|(written, payload)| (written.sequence, payload)));
            }
            files = if random.below(3) == 0 { files.after_kill() } else { files.after_power_loss(&mut random) };
        }
    }
}

#[test]
fn a_failed_sync_is_not_tried_again_and_its_records_do_not_come_back_behind_later_ones() {
    for fault in [Fault::Sync, Fault::Write] {
        let files = SimulatedFiles::new(CAPACITY);
        let (mut log, _, _) = open(&files).unwrap();
        append(&mut log, &[b"before"]);
        files.inject(fault);
        let (written, error) = log.append(&[frame(b"lost".to_vec())]);
        assert!(written.is_empty() && matches!(error, Some(AppendError::Io(_))));
        assert!(!log.has_segment());
        let syncs = files.syncs();
        append(&mut log, &[b"after"]);
        // The header of a new segment, and its record.
        assert_eq!((files.syncs() - syncs, log.segments.numbers()), (2, vec![1, 2]));
        for seed in 0..50 {
            let found = records(&files.after_power_loss(&mut Random::new(seed)));
            assert_eq!(payloads(&found), [b"before".as_slice(), b"after"]);
        }
        assert_eq!(payloads(&records(&files.after_kill())), [b"before".as_slice(), b"after"]);
    }
}

#[test]
fn damage_before_the_last_batch_is_said_and_nothing_is_changed() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    append(&mut log, &[b"one"]);
    let second = append(&mut log, &[b"two", b"three"]);
    let end = log.current.as_ref().unwrap().offset;
    append(&mut log, &[b"four"]);
    let first_byte = usize::try_from(second.first().unwrap().place.offset).unwrap();
    let before = files.bytes(&segment::name(1));
    for byte in first_byte..usize::try_from(end).unwrap() {
        // What fills a payload up to a multiple of eight says nothing.
        if before[byte] == 0 && byte % 8 > 2 && byte > first_byte + 32 {
            continue;
        }
        let damaged = files.after_kill();
        damaged.damage(&segment::name(1), byte);
        let before = damaged.bytes(&segment::name(1));
        let error = open(&damaged).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { segment: 1, sequence: 2 | 3, .. }), "byte {byte}: {error}");
        assert_eq!(damaged.bytes(&segment::name(1)), before);
    }
}

#[test]
fn damage_to_an_older_segment_a_missing_segment_and_a_damaged_header_are_said() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    let payload = vec![7; 1_000];
    let places: Vec<_> = (0..9).flat_map(|_| append(&mut log, &[&payload])).collect();
    assert_eq!(log.segments.numbers(), [1, 2, 3]);
    let last_of_first = usize::try_from(places[2].place.offset).unwrap();
    let check = |damage: &dyn Fn(&SimulatedFiles), expected: &str| {
        let damaged = files.after_kill();
        damage(&damaged);
        assert_eq!(open(&damaged).map(|_| ()).unwrap_err().to_string(), expected);
    };
    let offset = last_of_first;
    check(
        &|files| files.damage(&segment::name(1), last_of_first + 40),
        &format!("the log of events is damaged: segment 1 has no whole record 3 at byte {offset}"),
    );
    check(
        &|files| files.lose(&segment::name(2)),
        "the log of events is damaged: records 4 to 6 are missing, before segment 3",
    );
    check(
        &|files| files.damage(&segment::name(2), 20),
        "the log of events is damaged: the header of segment 2 cannot be read",
    );
}

#[test]
fn a_record_that_is_not_understood_is_an_error_and_not_passed_over() {
    let files = SimulatedFiles::new(CAPACITY);
    append(&mut open(&files).unwrap().0, &[b"one"]);
    let error = Log::open(Arc::new(files), SEGMENT_BYTES, |_| false).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Record { sequence: 1 }));
}

#[test]
fn spares_are_used_when_the_disk_is_full_and_then_it_is_said() {
    let files = SimulatedFiles::new(3 * SEGMENT_BYTES);
    let (mut log, _, _) = open(&files).unwrap();
    log.keep_spares(3).unwrap();
    assert!(super::is_full(&log.keep_spares(4).unwrap_err()));
    let payload = vec![1; 3_900];
    for spares in [2, 1, 0] {
        append(&mut log, &[&payload]);
        assert_eq!(log.spares(), spares);
    }
    let (written, error) = log.append(&[frame(b"small".to_vec()), frame(payload.clone())]);
    assert!(written.len() == 1 && matches!(error, Some(AppendError::NoSpace)));
    // What is small still finds its place.
    append(&mut log, &[b"small"]);
    assert_eq!(records(&files.after_power_loss(&mut Random::new(1))).len(), 5);
}

#[test]
fn segments_go_oldest_first_and_never_the_one_that_is_written() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    let payload = vec![1; 3_900];
    for _ in 0..4 {
        append(&mut log, &[&payload]);
    }
    assert!(!log.remove_oldest(2).unwrap());
    assert!(log.remove_oldest(1).unwrap());
    files.inject(Fault::Sync);
    log.remove_oldest(2).unwrap_err();
    // Nobody knows whether that name is gone, so the next one stays.
    assert!(!log.remove_oldest(3).unwrap());
    assert_eq!(log.oldest(), Some(3));
    for seed in 0..20 {
        let found = records(&files.after_power_loss(&mut Random::new(seed)));
        assert!([2, 3].contains(&found.len()) && found.last().unwrap().0 == 4);
    }
    let (mut log, _, _) = open(&files.after_kill()).unwrap();
    assert!(log.remove_oldest(3).unwrap());
    assert!(!log.remove_oldest(4).unwrap());
}

#[test]
fn what_is_behind_a_torn_record_does_not_come_back_behind_a_new_one() {
    let files = SimulatedFiles::new(CAPACITY);
    let (mut log, _, _) = open(&files).unwrap();
    append(&mut log, &[b"one"]);
    let torn = append(&mut log, &[b"torn", b"whole"]);
    files.damage(&segment::name(1), torn[0].place.offset as usize + 33);
    let (mut log, found, recovered) = open(&files).unwrap();
    assert_eq!((payloads(&found), recovered.torn_bytes), (vec![b"one".as_slice()], 80));
    append(&mut log, &[b"new!"]);
    assert_eq!(payloads(&records(&files)), [b"one".as_slice(), b"new!"]);
}

#[test]
fn spares_of_an_earlier_start_are_removed() {
    let files = SimulatedFiles::new(CAPACITY);
    open(&files).unwrap().0.keep_spares(2).unwrap();
    assert_eq!(files.taken(), 2 * SEGMENT_BYTES);
    open(&files).unwrap();
    assert_eq!(files.taken(), 0);
}
