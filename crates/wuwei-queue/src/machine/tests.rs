//! Random schedules against a plain model of what every event must do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wuwei_model::FunctionKey;

use super::{LeaseLost, Machine, retry_record};
use crate::log::Place;
use crate::machine::Lease;
use crate::policy::{Counting, Next, RetryPolicy, Verdict};
use crate::random::Random;
use crate::record::{Accepted, Cause, EventId, Lane, Record, Standing};

pub(crate) fn lane(name: &str) -> Arc<Lane> {
    let function = FunctionKey { account: "000000000000".into(), region: "us-east-1".into(), name: name.into() };
    Arc::new(Lane { function, generation: "1".into() })
}

/// A machine with a log that is never lost.
#[derive(Default)]
struct Logged {
    machine: Machine,
    records: Vec<Record>,
}

impl Logged {
    fn started() -> Self {
        let mut logged = Self::default();
        logged.machine.start();
        logged
    }

    fn write(&mut self, record: Record) -> EventId {
        let sequence = self.records.len() as u64 + 1;
        self.machine.apply(sequence, place(sequence), 64, &record);
        self.records.push(record);
        EventId(sequence)
    }

    fn accept(&mut self, lane: &Arc<Lane>, accepted_at_ms: u64) -> EventId {
        let accepted = Accepted { lane: Arc::clone(lane), accepted_at_ms, content: Bytes::new() };
        self.write(Record::Accepted(accepted))
    }

    /// What the next start makes of the log, of whose oldest records some are gone because what they said was moved.
    fn replayed(&mut self, random: &mut Random) -> Machine {
        let gone = random.below(self.records.len() as u64 + 1);
        let mut moved = Vec::new();
        for (id, event) in &self.machine.events {
            if event.place.offset <= u32::try_from(gone).unwrap() {
                moved.push((*id, event.place, Arc::clone(&self.machine.lanes.get(event.lane).unwrap().lane)));
            }
        }
        for (id, place, lane) in moved {
            let (attempts, standing) = self.machine.standing(id, place).unwrap();
            let accepted_at_ms = self.machine.accepted_at_ms(id).unwrap();
            let accepted = Accepted { lane, accepted_at_ms, content: Bytes::new() };
            self.write(Record::Moved { id, attempts, standing, accepted });
        }
        let mut machine = Machine::default();
        for (position, record) in self.records.iter().enumerate().skip(usize::try_from(gone).unwrap()) {
            let sequence = position as u64 + 1;
            machine.apply(sequence, place(sequence), 64, record);
        }
        machine.start();
        machine
    }
}

fn place(sequence: u64) -> Place {
    Place { segment: 1, offset: u32::try_from(sequence).unwrap() }
}

/// What must be true of an event.
#[derive(Debug)]
struct Expected {
    lane: usize,
    accepted_at_ms: u64,
    failures: u8,
    lease: Option<(Lease, u64)>,
    is_settling: bool,
    not_before_ms: u64,
    /// The latest that it was ever told to wait for.
    longest_wait_ms: u64,
    dead: Option<Cause>,
}

struct Schedule {
    seed: u64,
    random: Random,
    now_ms: u64,
    policy: RetryPolicy,
    lanes: Vec<Arc<Lane>>,
    logged: Logged,
    expected: BTreeMap<EventId, Expected>,
    done: u64,
    accepted: u64,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let policy = RetryPolicy {
            retries: u8::try_from(random.below(3)).unwrap(),
            age_max_ms: 60_000 + random.below(400_000),
            ..RetryPolicy::default()
        };
        Self {
            seed,
            random,
            now_ms: 1_000_000,
            policy,
            lanes: (0..3).map(|number| lane(&format!("f{number}"))).collect(),
            logged: Logged::started(),
            expected: BTreeMap::new(),
            done: 0,
            accepted: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 => self.accept(),
            2..=4 => self.claim(),
            5..=7 => self.end_one(),
            8 => self.use_an_old_lease(),
            9 => self.now_ms += *self.random.pick(&[1, 999, 1_000, 30_000, 60_000, 120_000, 300_000]),
            10 => self.extend(),
            _ => match self.random.below(4) {
                0 => self.restart(),
                1 => self.redrive_or_remove(),
                _ => self.claim(),
            },
        }
        self.check();
    }

    fn accept(&mut self) {
        let lane = usize::try_from(self.random.below(3)).unwrap();
        let id = self.logged.accept(&Arc::clone(&self.lanes[lane]), self.now_ms);
        let accepted_at_ms = self.now_ms;
        assert!(
            self.expected.insert(id, Expected::new(lane, accepted_at_ms)).is_none(),
            "seed {}: an id was given twice",
            self.seed
        );
        self.accepted += 1;
    }

    /// Claims, and gives up at once what may not start.
    fn claim(&mut self) {
        let number = usize::try_from(self.random.below(3)).unwrap();
        let until_ms = self.now_ms + 1 + self.random.below(200_000);
        let Some(claim) = self.logged.machine.claim(&self.lanes[number], self.now_ms, until_ms) else {
            // Then nothing of the lane may be due.
            let (seed, now_ms) = (self.seed, self.now_ms);
            let due = self.expected.iter().find(|(_, event)| event.lane == number && event.is_due(now_ms));
            assert!(due.is_none(), "seed {seed}: forgotten: {due:?}");
            return;
        };
        let event = self.expected.get_mut(&claim.lease.id).expect("only what was accepted");
        assert!(event.is_due(self.now_ms), "seed {}: not due at {}: {event:?}", self.seed, self.now_ms);
        assert_eq!((event.lane, event.failures), (number, claim.progress.attempts), "seed {}", self.seed);
        assert_eq!(event.accepted_at_ms, claim.progress.accepted_at_ms, "seed {}", self.seed);
        event.lease = Some((claim.lease, until_ms));
        if let Some(cause) = self.policy.refusal(claim.progress, self.now_ms) {
            self.logged.machine.settle(claim.lease, self.now_ms).unwrap();
            self.end(claim.lease.id, Next::Dead(cause));
            return;
        }
        let event = &self.expected[&claim.lease.id];
        assert!(self.now_ms < event.accepted_at_ms + self.policy.age_max_ms, "seed {}: too old", self.seed);
        assert!(event.failures <= self.policy.retries, "seed {}: too often", self.seed);
    }

    /// Ends an attempt, or begins to: its record is written later, or never.
    fn end_one(&mut self) {
        let held: Vec<_> = self.expected.iter().filter(|(_, event)| event.lease.is_some()).map(|(id, _)| *id).collect();
        if held.is_empty() {
            return;
        }
        let id = *self.random.pick(&held);
        let (lease, until_ms) = self.expected[&id].lease.unwrap();
        let verdicts = [
            Verdict::Success,
            Verdict::FunctionError,
            Verdict::FunctionError,
            Verdict::Throttled,
            Verdict::PlatformError,
            Verdict::NoConcurrency,
            Verdict::FunctionDeleted,
        ];
        let verdict = *self.random.pick(&verdicts);
        if self.expected[&id].is_settling {
            if self.random.below(3) == 0 {
                self.logged.machine.unsettle(id);
                self.expected.get_mut(&id).unwrap().is_settling = false;
            }
            return;
        }
        let Ok(progress) = self.logged.machine.settle(lease, self.now_ms) else {
            assert!(self.now_ms >= until_ms, "seed {}: a lease was lost too early", self.seed);
            return;
        };
        assert!(self.now_ms < until_ms, "seed {}: a lease was held for too long", self.seed);
        if self.random.below(5) == 0 {
            self.expected.get_mut(&id).unwrap().is_settling = true;
            return;
        }
        let next = self.policy.after(progress, verdict, self.now_ms);
        if let Next::Retry { counting: Counting::Free, due_at_ms } = next {
            self.logged.machine.unsettle(id);
            self.logged.machine.give_back(lease, self.now_ms, due_at_ms).unwrap();
        }
        self.end(id, next);
    }

    fn end(&mut self, id: EventId, next: Next) {
        let event = self.expected.get_mut(&id).unwrap();
        event.lease = None;
        event.is_settling = false;
        match next {
            Next::Ack => {
                self.expected.remove(&id);
                self.done += 1;
                self.logged.write(Record::Finished { id });
            }
            Next::Retry { due_at_ms, counting } => {
                event.not_before_ms = due_at_ms;
                event.longest_wait_ms = event.longest_wait_ms.max(due_at_ms);
                if counting == Counting::Counted {
                    let progress = self.logged.machine.events[&id].progress();
                    event.failures += 1;
                    self.logged.write(retry_record(id, progress, due_at_ms));
                }
            }
            Next::Dead(cause) => {
                event.dead = Some(cause);
                self.logged.write(Record::Dead { id, cause, at_ms: self.now_ms });
            }
        }
    }

    fn use_an_old_lease(&mut self) {
        let live: Vec<_> = self.expected.values().filter_map(|event| event.lease).map(|(lease, _)| lease).collect();
        let Some(last) = live.iter().max_by_key(|lease| lease.token) else { return };
        let old = Lease { token: self.random.below(last.token + 2), ..*last };
        if live.contains(&old) {
            return;
        }
        let machine = &mut self.logged.machine;
        assert_eq!(machine.settle(old, self.now_ms).unwrap_err(), LeaseLost);
        assert_eq!(machine.extend(old, self.now_ms, u64::MAX).unwrap_err(), LeaseLost);
        assert_eq!(machine.give_back(old, self.now_ms, 0).unwrap_err(), LeaseLost);
    }

    fn extend(&mut self) {
        for event in self.expected.values_mut() {
            let Some((lease, until_ms)) = &mut event.lease else { continue };
            let longer_ms = self.now_ms + 1 + self.random.below(100_000);
            if self.logged.machine.extend(*lease, self.now_ms, longer_ms).is_ok() {
                assert!(self.now_ms < *until_ms && !event.is_settling, "seed {}", self.seed);
                *until_ms = longer_ms;
            } else {
                assert!(self.now_ms >= *until_ms || event.is_settling, "seed {}", self.seed);
            }
        }
    }

    /// `kill -9`: leases and waits that do not count are gone, all else is as it was.
    fn restart(&mut self) {
        self.logged.machine = self.logged.replayed(&mut self.random);
        for (id, event) in &mut self.expected {
            if let Some((_, until_ms)) = event.lease.take() {
                event.longest_wait_ms = event.longest_wait_ms.max(until_ms);
            }
            event.is_settling = false;
            let place = self.logged.machine.place(*id).unwrap();
            match self.logged.machine.standing(*id, place).unwrap().1 {
                Standing::Waiting { due_at_ms } => {
                    assert!(due_at_ms <= event.longest_wait_ms, "seed {}: waits for too long", self.seed);
                    event.not_before_ms = due_at_ms;
                }
                Standing::Dead { cause, .. } => assert_eq!(event.dead, Some(cause), "seed {}", self.seed),
            }
        }
    }

    fn redrive_or_remove(&mut self) {
        let Some((id, event)) = self.expected.iter_mut().find(|(_, event)| event.dead.is_some()) else { return };
        let id = *id;
        self.logged.machine.take_dead(id).expect("it is in the list");
        assert_eq!(self.logged.machine.take_dead(id), None);
        if self.random.below(2) == 0 {
            *event = Expected::new(event.lane, self.now_ms);
            self.logged.write(Record::Redriven { id, at_ms: self.now_ms });
        } else {
            self.expected.remove(&id);
            self.done += 1;
            self.logged.write(Record::Finished { id });
        }
    }

    fn check(&self) {
        assert_eq!(self.logged.machine.len(), self.expected.len(), "seed {}", self.seed);
        assert_eq!(self.done + self.expected.len() as u64, self.accepted, "seed {}", self.seed);
        let dead = self.expected.values().filter(|event| event.dead.is_some()).count();
        assert_eq!(self.logged.machine.counts().dead, dead, "seed {}", self.seed);
        let live = self.logged.machine.live_bytes();
        assert_eq!(live, 64 * self.expected.len() as u64, "seed {}", self.seed);
    }

    /// With time and a function that succeeds, every event is done or given up.
    fn drain(&mut self) {
        for event in self.expected.values_mut() {
            if let Some((lease, _)) = event.lease.filter(|_| event.is_settling) {
                self.logged.machine.unsettle(lease.id);
                event.is_settling = false;
            }
        }
        while self.expected.values().any(|event| event.dead.is_none()) {
            let next_ms = self.logged.machine.next_due_ms(self.now_ms);
            for lane in self.logged.machine.due_lanes(self.now_ms) {
                while let Some(claim) = self.logged.machine.claim(&lane, self.now_ms, u64::MAX) {
                    let id = claim.lease.id;
                    self.logged.machine.settle(claim.lease, self.now_ms).unwrap();
                    let refusal = self.policy.refusal(claim.progress, self.now_ms);
                    self.end(id, refusal.map_or(Next::Ack, Next::Dead));
                }
            }
            if let Some(next_ms) = next_ms {
                assert!(next_ms > self.now_ms || self.logged.machine.due_lanes(self.now_ms).is_empty());
                self.now_ms = self.now_ms.max(next_ms);
            } else {
                assert!(self.expected.values().all(|event| event.dead.is_some()), "seed {}: stuck", self.seed);
            }
            self.check();
        }
        let counts = self.logged.machine.counts();
        assert_eq!((counts.waiting, counts.running), (0, 0), "seed {}", self.seed);
    }
}

impl Expected {
    fn new(lane: usize, accepted_at_ms: u64) -> Self {
        Self {
            lane,
            accepted_at_ms,
            failures: 0,
            lease: None,
            is_settling: false,
            not_before_ms: 0,
            longest_wait_ms: 0,
            dead: None,
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        let is_free = match self.lease {
            Some((_, until_ms)) => !self.is_settling && until_ms <= now_ms,
            None => self.not_before_ms <= now_ms,
        };
        self.dead.is_none() && is_free
    }
}

#[test]
fn on_any_schedule_no_event_is_forgotten_or_given_out_twice_and_limits_are_exact() {
    for seed in 0..3_000 {
        let mut schedule = Schedule::new(seed);
        for _ in 0..200 {
            schedule.step();
        }
        schedule.drain();
    }
}

#[test]
fn events_of_a_lane_are_given_out_in_the_order_in_which_they_came() {
    let mut logged = Logged::started();
    let lane = lane("f");
    let ids: Vec<_> = (0..5).map(|_| logged.accept(&lane, 1)).collect();
    let claimed: Vec<_> = (0..5).map(|_| logged.machine.claim(&lane, 1, 10).unwrap().lease.id).collect();
    assert_eq!(claimed, ids);
    assert!(logged.machine.claim(&lane, 1, 10).is_none());
}

#[test]
fn a_function_that_was_made_anew_gets_no_events_of_the_one_before() {
    let mut logged = Logged::started();
    let before = lane("f");
    let after = Arc::new(Lane { generation: "2".into(), ..(*before).clone() });
    let old = logged.accept(&before, 1);
    let new = logged.accept(&after, 1);
    assert_eq!(logged.machine.claim(&after, 1, 10).unwrap().lease.id, new);
    assert!(logged.machine.claim(&after, 1, 10).is_none());
    assert_eq!(logged.machine.due_lanes(1), [Arc::clone(&before)]);
    assert_eq!(logged.machine.claim(&before, 1, 10).unwrap().lease.id, old);
}

#[test]
fn a_lane_without_events_is_forgotten() {
    let mut logged = Logged::started();
    for number in 0..100 {
        let id = logged.accept(&lane(&format!("f{number}")), 1);
        logged.machine.claim(&lane(&format!("f{number}")), 1, 10).unwrap();
        logged.write(Record::Finished { id });
    }
    assert_eq!(logged.machine.lanes.iter().count(), 0);
    assert_eq!((logged.machine.live_bytes(), logged.machine.next_due_ms(0)), (0, None));
}
