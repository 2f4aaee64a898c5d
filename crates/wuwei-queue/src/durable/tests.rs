use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::job::{Job, JobError};
use super::writer::Writer;
use super::{DurableQueue, QueueOptions, Shared, assemble};
use crate::clock::{Clock as _, HeldClock, SystemClock};
use crate::files::simulated::{Fault, SimulatedFiles};
use crate::files::{DiskFiles, Files as _};
use crate::log::ReadError;
use crate::machine::tests::lane;
use crate::policy::Counting;
use crate::queue::conformance::{self, EVENTS_MAX, START_MS};
use crate::queue::{EnqueueError, EventQueue as _, NewEvent, QueueError};
use crate::random::Random;
use crate::record::{Accepted, Cause, EventId, Lane, Record};

const SEGMENT_BYTES: u64 = 4_096;
const LEASE: Duration = Duration::from_secs(10);

fn options() -> QueueOptions {
    QueueOptions { segment_bytes: SEGMENT_BYTES, events_max: EVENTS_MAX, ..QueueOptions::default() }
}

fn clock() -> Arc<HeldClock> {
    Arc::new(HeldClock::new(START_MS))
}

fn queue_on(files: &SimulatedFiles) -> DurableQueue {
    DurableQueue::open(Arc::new(files.clone()), Arc::new(SystemClock::default()), options()).unwrap()
}

fn event(lane: &Arc<Lane>, content: &[u8]) -> NewEvent {
    NewEvent { lane: Arc::clone(lane), content: Bytes::copy_from_slice(content) }
}

#[tokio::test]
async fn a_queue_on_the_disk_does_what_every_queue_must() {
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0;
    let number = std::cell::RefCell::new(&mut number);
    conformance::check_all(|| {
        **number.borrow_mut() += 1;
        let files = DiskFiles::open(&directory.path().join(number.borrow().to_string())).unwrap();
        let clock = clock();
        (Arc::new(DurableQueue::open(Arc::new(files), Arc::clone(&clock) as _, options()).unwrap()), clock)
    })
    .await;
}

#[tokio::test]
async fn events_are_there_at_the_next_start_with_all_that_counts() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let open = || {
        let files = DiskFiles::open(directory.path()).unwrap();
        DurableQueue::open(Arc::new(files), Arc::clone(&clock) as _, options()).unwrap()
    };
    let lane = lane("f");
    let queue = open();
    for text in ["done", "waits", "dead", "runs"] {
        queue.enqueue(event(&lane, text.as_bytes())).await.unwrap();
    }
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(queue.claim(&lane, LEASE).await.unwrap().unwrap().lease);
    }
    queue.ack(leases[0]).await.unwrap();
    queue.retry_at(leases[1], START_MS + 60_000, Counting::Counted).await.unwrap();
    queue.dead(leases[2], Cause::RetriesExhausted).await.unwrap();
    drop(queue);
    let queue = open();
    // An attempt that was cut off is made again, and does not count.
    let again = queue.claim(&lane, LEASE).await.unwrap().unwrap();
    assert_eq!((&again.content[..], again.progress.attempts), (&b"runs"[..], 0));
    assert!(queue.claim(&lane, LEASE).await.unwrap().is_none());
    assert_eq!(queue.next_due_ms(), Some(START_MS + 10_000));
    clock.advance(60_000);
    queue.ack(again.lease).await.unwrap_err();
    let mut both = BTreeSet::new();
    while let Some(claimed) = queue.claim(&lane, LEASE).await.unwrap() {
        both.insert((claimed.content, claimed.progress.attempts));
    }
    assert_eq!(both, BTreeSet::from([(Bytes::from("runs"), 0), (Bytes::from("waits"), 1)]));
    let letters = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].cause, letters[0].at_ms), (1, Cause::RetriesExhausted, START_MS));
    assert_eq!(queue.dead_content(letters[0].id).await.unwrap(), "dead");
}

#[tokio::test]
async fn one_sync_serves_all_who_came_while_the_one_before_was_waited_for() {
    let files = SimulatedFiles::new(1 << 24);
    let options = QueueOptions { segment_bytes: 1 << 20, ..options() };
    let queue = Arc::new(DurableQueue::open(Arc::new(files.clone()), clock(), options).unwrap());
    let lane = lane("f");
    queue.enqueue(event(&lane, b"")).await.unwrap();
    let before = files.syncs();
    files.hold_syncs();
    let enqueue = || {
        let (queue, lane) = (Arc::clone(&queue), Arc::clone(&lane));
        tokio::spawn(async move { queue.enqueue(event(&lane, b"")).await })
    };
    let first = enqueue();
    let held = files.clone();
    tokio::task::spawn_blocking(move || held.wait_for_a_held_sync()).await.unwrap();
    let mut others: Vec<_> = (0..20).map(|_| enqueue()).collect();
    while queue.shared.pending().jobs.len() < others.len() {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && others.iter().all(|other| !other.is_finished()));
    files.let_go();
    others.push(first);
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(files.syncs() - before, 2);
}

#[tokio::test]
async fn a_failed_sync_fails_those_who_wait_and_the_queue_goes_on_without_a_hand() {
    for fault in [Fault::Sync, Fault::Write] {
        let files = SimulatedFiles::new(1 << 24);
        let queue = queue_on(&files);
        let lane = lane("f");
        queue.enqueue(event(&lane, b"before")).await.unwrap();
        let lease = queue.claim(&lane, LEASE).await.unwrap().unwrap().lease;
        files.inject(fault);
        assert_eq!(queue.enqueue(event(&lane, b"lost")).await, Err(EnqueueError::Unwritten));
        while queue.shared.has_failed.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        queue.enqueue(event(&lane, b"after")).await.unwrap();
        // Whoever had its end refused still has its lease.
        files.inject(fault);
        assert_eq!(queue.ack(lease).await, Err(QueueError::Unwritten));
        while queue.shared.has_failed.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        queue.ack(lease).await.unwrap();
        drop(queue);
        let queue = queue_on(&files.after_power_loss(&mut Random::new(1)));
        assert_eq!(queue.claim(&lane, LEASE).await.unwrap().unwrap().content, "after");
        assert!(queue.claim(&lane, LEASE).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_damaged_event_is_said_and_kept_among_the_dead_and_the_others_go_on() {
    let files = SimulatedFiles::new(1 << 24);
    let queue = queue_on(&files);
    let lane = lane("f");
    let damaged = queue.enqueue(event(&lane, &[7; 500])).await.unwrap();
    queue.enqueue(event(&lane, b"whole")).await.unwrap();
    let place = queue.shared.machine().place(damaged).unwrap();
    files.damage("0000000001.segment", place.offset as usize + 300);
    assert_eq!(queue.claim(&lane, LEASE).await.unwrap().unwrap().content, "whole");
    let letters = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!((letters[0].id, letters[0].cause), (damaged, Cause::Damaged));
    assert_eq!(queue.dead_content(damaged).await, Err(QueueError::Unread));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_largest_is_taken() {
    let files = SimulatedFiles::new(1 << 24);
    let options = QueueOptions { content_bytes_max: 1_000, ..options() };
    let queue = DurableQueue::open(Arc::new(files), clock(), options).unwrap();
    let lane = lane("f");
    let head = Accepted { lane: Arc::clone(&lane), accepted_at_ms: 0, content: Bytes::new() }.payload_bytes();
    queue.enqueue(event(&lane, &vec![1; 1_000 - head])).await.unwrap();
    assert_eq!(queue.enqueue(event(&lane, &vec![1; 1_001 - head])).await, Err(EnqueueError::TooLarge));
}

#[tokio::test]
async fn a_queue_that_is_dropped_writes_what_was_given_to_it() {
    let files = SimulatedFiles::new(1 << 24);
    let queue = queue_on(&files);
    let lane = lane("f");
    let id = queue.enqueue(event(&lane, b"x")).await.unwrap();
    queue.shared.close();
    assert_eq!(queue.enqueue(event(&lane, b"y")).await, Err(EnqueueError::Unwritten));
    drop(queue);
    let found = queue_on(&files.after_kill()).claim(&lane, LEASE).await.unwrap().unwrap();
    assert_eq!(found.lease.event(), id);
}

/// The thread's work, step by step, and what must be true of each event.
struct Bench {
    files: SimulatedFiles,
    clock: Arc<HeldClock>,
    shared: Arc<Shared>,
    writer: Writer,
}

type Answer = oneshot::Receiver<Result<EventId, JobError>>;

impl Bench {
    fn open(files: &SimulatedFiles) -> Self {
        let clock = clock();
        let (shared, writer) = assemble(Arc::new(files.clone()), Arc::clone(&clock) as _, options()).unwrap();
        Self { files: files.clone(), clock, shared, writer }
    }

    fn submit(&self, record: Record) -> Answer {
        let space = Arc::clone(&self.shared.end_space).try_acquire_owned().unwrap();
        self.shared.submit(record, space, None)
    }

    fn accept(&self, content: Vec<u8>) -> Answer {
        let content = Bytes::from(content);
        self.submit(Record::Accepted(Accepted { lane: lane("f"), accepted_at_ms: START_MS, content }))
    }

    fn step(&mut self) {
        let jobs: Vec<Job> = std::mem::take(&mut self.shared.pending().jobs);
        self.writer.commit(jobs);
        self.writer.maintain();
    }

    fn accept_now(&mut self, content: Vec<u8>) -> Result<EventId, JobError> {
        let mut answer = self.accept(content);
        self.step();
        answer.try_recv().unwrap()
    }

    fn finish_now(&mut self, id: EventId) -> Result<EventId, JobError> {
        let mut answer = self.submit(Record::Finished { id });
        self.step();
        answer.try_recv().unwrap()
    }

    fn content(&self, id: EventId) -> Result<Bytes, ReadError> {
        self.shared.read(id).map(|(_, content)| content)
    }
}

#[test]
fn a_full_disk_refuses_events_takes_all_ends_and_recovers_by_itself() {
    let files = SimulatedFiles::new(12 * SEGMENT_BYTES);
    let mut bench = Bench::open(&files);
    let mut ids = Vec::new();
    let refused = loop {
        match bench.accept_now(vec![1; 700]) {
            Ok(id) => ids.push(id),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, JobError::Full);
    assert!(ids.len() > 30, "{}", ids.len());
    // Nothing more of anybody else's is left either.
    files.set_capacity(files.taken());
    // One of the first stays to the end: it stands in the way of its segment.
    let stays = ids.remove(0);
    for id in ids {
        bench.finish_now(id).unwrap();
    }
    for _ in 0..20 {
        bench.step();
    }
    bench.clock.advance(2_000);
    bench.step();
    assert_eq!(bench.content(stays).unwrap(), vec![1; 700]);
    bench.accept_now(vec![2; 700]).unwrap();
    assert!(bench.writer.log().bytes() <= 4 * SEGMENT_BYTES, "{}", bench.writer.log().bytes());
    let reopened = Bench::open(&files.after_power_loss(&mut Random::new(3)));
    assert_eq!(reopened.content(stays).unwrap().len(), 700);
    assert_eq!(reopened.shared.machine().len(), 2);
}

#[test]
fn segments_go_when_their_events_are_done_and_the_log_stays_in_proportion() {
    let files = SimulatedFiles::new(1 << 24);
    let mut bench = Bench::open(&files);
    let first = bench.accept_now(vec![9; 200]).unwrap();
    let mut waiting: Vec<EventId> = Vec::new();
    let mut random = Random::new(1);
    for round in 0..3_000_u32 {
        let content = round.to_le_bytes().repeat(50);
        waiting.push(bench.accept_now(content).unwrap());
        if waiting.len() > 20 {
            let position = usize::try_from(random.below(20)).unwrap();
            bench.finish_now(waiting.swap_remove(position)).unwrap();
        }
    }
    waiting.push(first);
    waiting.swap(0, 20);
    for _ in 0..50 {
        bench.step();
    }
    for id in waiting.drain(10..) {
        bench.finish_now(id).unwrap();
    }
    for _ in 0..50 {
        bench.step();
    }
    assert!(files.taken() <= 10 * SEGMENT_BYTES, "{}", files.taken());
    let (bytes, live) = (bench.writer.log().bytes(), bench.shared.machine().live_bytes());
    assert!(bytes <= 2 * live + 6 * SEGMENT_BYTES, "{bytes} for {live}");
    for id in &waiting {
        assert_eq!(bench.content(*id).unwrap().len(), 200);
    }
    let reopened = Bench::open(&bench.files.after_power_loss(&mut random));
    let found: BTreeSet<EventId> = waiting.iter().copied().collect();
    assert_eq!(reopened.shared.machine().len(), found.len());
    assert!(found.iter().all(|id| reopened.content(*id).is_ok()));
}

/// What is known of an event: its content, and its end if that was acknowledged.
#[derive(Debug, Default)]
struct Known {
    contents: BTreeMap<EventId, Vec<u8>>,
    /// The end was given to the log, and nobody knows whether it got there.
    unsure: BTreeSet<EventId>,
    finished: BTreeSet<EventId>,
    attempts: BTreeMap<EventId, u8>,
}

#[test]
fn what_was_acknowledged_survives_power_loss_at_any_moment_compaction_included() {
    let mut moves = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut files = SimulatedFiles::new(1 << 20);
        let mut known = Known::default();
        for _life in 0..4 {
            let mut bench = Bench::open(&files);
            check(&bench, &mut known, seed);
            let lost_after = random.below(400);
            files.lose_power_after(lost_after);
            live(&mut bench, &mut known, &mut random);
            moves += u32::from(bench.writer.log().segments().numbers().first().is_some_and(|oldest| *oldest > 1));
            drop(bench);
            files = if random.below(4) == 0 { files.after_kill() } else { files.after_power_loss(&mut random) };
        }
    }
    assert!(moves > 100, "segments were removed in {moves} lives only");
}

fn check(bench: &Bench, known: &mut Known, seed: u64) {
    let Known { contents, unsure, finished, attempts } = known;
    for (id, content) in &*contents {
        match bench.content(*id) {
            Ok(found) => {
                assert!(!finished.contains(id), "seed {seed}: {id:?} came back");
                assert_eq!(found, content, "seed {seed}");
                let place = bench.shared.machine().place(*id).unwrap();
                let found = bench.shared.machine().standing(*id, place).unwrap().0;
                let expected = attempts.get(id).copied().unwrap_or(0);
                let is_as_known = found == expected || unsure.contains(id) && found == expected + 1;
                assert!(is_as_known, "seed {seed}: {found} attempts, not {expected}");
                attempts.insert(*id, found);
            }
            Err(error) => {
                let may_be_gone = finished.contains(id) || unsure.contains(id);
                assert!(may_be_gone, "seed {seed}: {id:?} is lost: {error}");
                finished.insert(*id);
            }
        }
    }
    unsure.clear();
    // What was never answered may be there all the same; it is of no more interest.
    contents.retain(|id, _| !finished.contains(id));
    attempts.retain(|id, _| !finished.contains(id));
    finished.clear();
}

fn live(bench: &mut Bench, known: &mut Known, random: &mut Random) {
    for _ in 0..150 {
        let mut accepted = Vec::new();
        for _ in 0..random.below(4) {
            let content = random.next().to_le_bytes().repeat(usize::try_from(1 + random.below(60)).unwrap());
            accepted.push((bench.accept(content.clone()), content));
        }
        let open: Vec<_> =
            known.contents.keys().filter(|id| !known.finished.contains(id) && !known.unsure.contains(id)).collect();
        let mut ends = Vec::new();
        if open.len() > 12 {
            let id = **random.pick(&open);
            let attempts = known.attempts.get(&id).copied().unwrap_or(0) + 1;
            let is_retry = random.below(4) == 0 && attempts < 200;
            let record =
                if is_retry { Record::Retried { id, attempts, due_at_ms: 0 } } else { Record::Finished { id } };
            ends.push((id, is_retry.then_some(attempts), bench.submit(record)));
        }
        if random.below(60) == 0 {
            bench.files.inject(*random.pick(&[Fault::Sync, Fault::Write]));
        }
        bench.step();
        bench.clock.advance(1_000);
        for (mut answer, content) in accepted {
            if let Ok(id) = answer.try_recv().unwrap() {
                assert!(known.contents.insert(id, content).is_none());
            }
        }
        for (id, attempts, mut answer) in ends {
            match (answer.try_recv().unwrap(), attempts) {
                (Ok(_), None) => drop(known.finished.insert(id)),
                (Ok(_), Some(attempts)) => drop(known.attempts.insert(id, attempts)),
                (Err(_), _) => drop(known.unsure.insert(id)),
            }
        }
    }
}

#[test]
fn a_start_on_a_disk_that_is_full_reads_what_there_is() {
    let files = SimulatedFiles::new(1 << 20);
    let mut bench = Bench::open(&files);
    let id = bench.accept_now(vec![1; 10]).unwrap();
    drop(bench);
    let after = files.after_kill();
    for name in after.list().unwrap().iter().filter(|name| name.ends_with(".spare")) {
        after.lose(name);
    }
    after.set_capacity(after.taken());
    let mut bench = Bench::open(&after);
    assert_eq!(bench.content(id).unwrap().len(), 10);
    assert_eq!(bench.accept_now(vec![1; 10]), Err(JobError::Full));
    bench.finish_now(id).unwrap();
    assert_eq!(bench.clock.now_ms(), START_MS);
}
