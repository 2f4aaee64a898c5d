//! What every implementation of [`EventQueue`] must do, as functions that take one and the clock that it follows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Claimed, EnqueueError, EventQueue, NewEvent, QueueError};
use crate::clock::{Clock as _, HeldClock};
use crate::machine::tests::lane;
use crate::machine::{Counts, DeadLetter};
use crate::policy::Counting;
use crate::record::{Cause, EventId, Lane};

pub(crate) const START_MS: u64 = 1_000_000;
/// Bound of the backlog of the queues that are checked.
pub(crate) const EVENTS_MAX: usize = 200;
const LEASE: Duration = Duration::from_secs(10);

type Queue = Arc<dyn EventQueue>;

/// Checks everything, each with a queue of its own.
pub(crate) async fn check_all<Q: EventQueue + 'static>(make: impl Fn() -> (Arc<Q>, Arc<HeldClock>)) {
    let new = || {
        let (queue, clock) = make();
        (queue as Queue, clock)
    };
    an_event_comes_back_as_it_was_given_and_once(new()).await;
    lanes_do_not_mix(new()).await;
    a_lease_that_ran_out_or_was_used_is_worth_nothing(new()).await;
    a_lease_can_be_prolonged(new()).await;
    a_retry_comes_when_it_is_due_and_counts_as_it_should(new()).await;
    what_is_due_next_is_told(new()).await;
    dead_letters_are_listed_read_redriven_and_removed(new()).await;
    a_full_backlog_refuses_and_loses_nothing(new()).await;
    those_who_wait_hear_of_what_is_new(new()).await;
    of_many_who_claim_at_once_each_event_goes_to_one(new()).await;
}

async fn put(queue: &Queue, lane: &Arc<Lane>, text: &'static str) -> EventId {
    let event = NewEvent { lane: Arc::clone(lane), content: Bytes::from_static(text.as_bytes()) };
    queue.enqueue(event).await.unwrap()
}

async fn claim(queue: &Queue, lane: &Lane) -> Option<Claimed> {
    queue.claim(lane, LEASE).await.unwrap()
}

async fn an_event_comes_back_as_it_was_given_and_once((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    assert!(claim(&queue, &lane).await.is_none());
    let first = put(&queue, &lane, "one").await;
    let second = put(&queue, &lane, "").await;
    assert!(first < second);
    let claimed = claim(&queue, &lane).await.unwrap();
    assert_eq!((claimed.lease.event(), &claimed.content[..], &claimed.lane), (first, &b"one"[..], &lane));
    assert_eq!((claimed.progress.accepted_at_ms, claimed.progress.attempts), (clock.now_ms(), 0));
    assert_eq!(claim(&queue, &lane).await.unwrap().content, Bytes::new());
    assert!(claim(&queue, &lane).await.is_none());
    assert_eq!(queue.counts(), Counts { waiting: 0, running: 2, dead: 0 });
    queue.ack(claimed.lease).await.unwrap();
    assert_eq!(queue.counts(), Counts { waiting: 0, running: 1, dead: 0 });
}

async fn lanes_do_not_mix((queue, _): (Queue, Arc<HeldClock>)) {
    let (one, other) = (lane("f"), lane("g"));
    let anew = Arc::new(Lane { generation: "2".into(), ..(*one).clone() });
    put(&queue, &one, "one").await;
    put(&queue, &other, "other").await;
    assert!(claim(&queue, &anew).await.is_none());
    let due: HashSet<_> = queue.due_lanes().into_iter().collect();
    assert_eq!(due, HashSet::from([Arc::clone(&one), Arc::clone(&other)]));
    assert_eq!(claim(&queue, &other).await.unwrap().content, "other");
    assert_eq!(queue.due_lanes(), [one]);
}

async fn a_lease_that_ran_out_or_was_used_is_worth_nothing((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    put(&queue, &lane, "one").await;
    let first = claim(&queue, &lane).await.unwrap().lease;
    clock.advance(9_999);
    assert!(claim(&queue, &lane).await.is_none());
    clock.advance(1);
    let lost = Err(QueueError::LeaseLost);
    assert_eq!(queue.ack(first).await, lost);
    let second = claim(&queue, &lane).await.unwrap().lease;
    assert_eq!(second.event(), first.event());
    for lease in [first, second] {
        if lease == second {
            queue.ack(second).await.unwrap();
        }
        assert_eq!(queue.ack(lease).await, lost);
        assert_eq!(queue.extend(lease, LEASE).await, lost);
        assert_eq!(queue.dead(lease, Cause::RetriesExhausted).await, lost);
        assert_eq!(queue.retry_at(lease, 0, Counting::Counted).await, lost);
        assert_eq!(queue.retry_at(lease, 0, Counting::Free).await, lost);
    }
    assert_eq!(queue.counts(), Counts::default());
}

async fn a_lease_can_be_prolonged((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    put(&queue, &lane, "one").await;
    let lease = claim(&queue, &lane).await.unwrap().lease;
    for _ in 0..5 {
        clock.advance(9_000);
        queue.extend(lease, LEASE).await.unwrap();
        assert!(claim(&queue, &lane).await.is_none());
    }
    queue.ack(lease).await.unwrap();
}

async fn a_retry_comes_when_it_is_due_and_counts_as_it_should((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    put(&queue, &lane, "one").await;
    let mut expected = (0, 0);
    for counting in [Counting::Free, Counting::Free, Counting::Counted, Counting::Free, Counting::Counted] {
        let claimed = claim(&queue, &lane).await.unwrap();
        assert_eq!((claimed.progress.attempts, claimed.progress.backoffs), expected);
        assert_eq!((claimed.progress.accepted_at_ms, &claimed.content[..]), (START_MS, &b"one"[..]));
        queue.retry_at(claimed.lease, clock.now_ms() + 5_000, counting).await.unwrap();
        match counting {
            Counting::Counted => expected = (expected.0 + 1, 0),
            Counting::Free => expected.1 += 1,
        }
        clock.advance(4_999);
        assert!(claim(&queue, &lane).await.is_none() && queue.due_lanes().is_empty());
        clock.advance(1);
        assert_eq!(queue.due_lanes(), [Arc::clone(&lane)]);
    }
    assert_eq!(queue.counts(), Counts { waiting: 1, running: 0, dead: 0 });
}

async fn what_is_due_next_is_told((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    assert_eq!(queue.next_due_ms(), None);
    put(&queue, &lane, "one").await;
    put(&queue, &lane, "two").await;
    assert_eq!(queue.next_due_ms(), None);
    let first = claim(&queue, &lane).await.unwrap().lease;
    assert_eq!(queue.next_due_ms(), Some(START_MS + 10_000));
    queue.retry_at(first, START_MS + 3_000, Counting::Counted).await.unwrap();
    let second = claim(&queue, &lane).await.unwrap().lease;
    assert_eq!(queue.next_due_ms(), Some(START_MS + 3_000));
    clock.advance(3_000);
    assert_eq!(queue.next_due_ms(), Some(START_MS + 10_000));
    queue.ack(second).await.unwrap();
    assert_eq!(queue.next_due_ms(), None);
}

async fn dead_letters_are_listed_read_redriven_and_removed((queue, clock): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    let mut ids = Vec::new();
    for (text, cause) in [("a", Cause::RetriesExhausted), ("b", Cause::EventAgeExceeded), ("c", Cause::NoConcurrency)] {
        ids.push(put(&queue, &lane, text).await);
        let lease = claim(&queue, &lane).await.unwrap().lease;
        assert_eq!(queue.remove(lease.event()).await, Err(QueueError::NotFound));
        queue.dead(lease, cause).await.unwrap();
    }
    assert!(claim(&queue, &lane).await.is_none());
    let listed = queue.dead_letters(None, 2).await.unwrap();
    let (accepted_at_ms, at_ms) = (START_MS, START_MS);
    let expected = |position: usize, cause| DeadLetter {
        id: ids[position],
        lane: Arc::clone(&lane),
        cause,
        accepted_at_ms,
        at_ms,
        attempts: 0,
    };
    assert_eq!(listed, [expected(0, Cause::RetriesExhausted), expected(1, Cause::EventAgeExceeded)]);
    let rest = queue.dead_letters(Some(ids[1]), 10).await.unwrap();
    assert_eq!(rest, [expected(2, Cause::NoConcurrency)]);
    assert_eq!(queue.dead_content(ids[1]).await.unwrap(), "b");
    clock.advance(100);
    queue.redrive(ids[1]).await.unwrap();
    queue.remove(ids[0]).await.unwrap();
    for gone in [ids[0], ids[1]] {
        assert_eq!(queue.redrive(gone).await, Err(QueueError::NotFound));
        assert_eq!(queue.remove(gone).await, Err(QueueError::NotFound));
        assert_eq!(queue.dead_content(gone).await, Err(QueueError::NotFound));
    }
    let again = claim(&queue, &lane).await.unwrap();
    assert_eq!(
        (again.lease.event(), again.progress.accepted_at_ms, &again.content[..]),
        (ids[1], START_MS + 100, &b"b"[..])
    );
    assert_eq!(queue.counts(), Counts { waiting: 0, running: 1, dead: 1 });
}

async fn a_full_backlog_refuses_and_loses_nothing((queue, _): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    for _ in 0..EVENTS_MAX {
        put(&queue, &lane, "x").await;
    }
    let event = || NewEvent { lane: Arc::clone(&lane), content: Bytes::new() };
    assert_eq!(queue.enqueue(event()).await, Err(EnqueueError::Backlog));
    let lease = claim(&queue, &lane).await.unwrap().lease;
    // It may have to be run again.
    assert_eq!(queue.enqueue(event()).await, Err(EnqueueError::Backlog));
    queue.ack(lease).await.unwrap();
    queue.enqueue(event()).await.unwrap();
    assert_eq!(queue.counts().waiting, EVENTS_MAX);
}

async fn those_who_wait_hear_of_what_is_new((queue, _): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            while queue.due_lanes().is_empty() {
                queue.changed().await;
            }
        })
    };
    put(&queue, &lane, "x").await;
    waiting.await.unwrap();
}

async fn of_many_who_claim_at_once_each_event_goes_to_one((queue, _): (Queue, Arc<HeldClock>)) {
    let lane = lane("f");
    for _ in 0..100 {
        put(&queue, &lane, "x").await;
    }
    let claimers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, lane) = (Arc::clone(&queue), Arc::clone(&lane));
            tokio::spawn(async move {
                let mut ids = Vec::new();
                while let Some(claimed) = claim(&queue, &lane).await {
                    ids.push(claimed.lease.event());
                    queue.ack(claimed.lease).await.unwrap();
                }
                ids
            })
        })
        .collect();
    let mut ids = Vec::new();
    for claimer in claimers {
        ids.extend(claimer.await.unwrap());
    }
    assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (100, 100));
    assert_eq!(queue.counts(), Counts::default());
}
