//! The state of every event: accepted, due, running under a lease, waiting again, given up, finished. No I/O and no clock:
//! whoever calls says what time it is.
//!
//! What is durable changes by [`Machine::apply`] only, with records that are on the disk: at a start and while serving in
//! the same way. Leases and waits that do not count are in memory alone.

mod lanes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::log::Place;
use crate::policy::Progress;
use crate::record::{Accepted, Cause, EventId, Lane, Record, Standing};
use lanes::Lanes;

/// A claim on an event: of all that were ever given for it, only the last one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(crate) id: EventId,
    pub(crate) token: u64,
}

impl Lease {
    /// Of which event.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.id
    }
}

/// An event that was claimed, without its body.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) lease: Lease,
    pub(crate) progress: Progress,
    pub(crate) place: Place,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which.
    pub id: EventId,
    /// Whom it was for.
    pub lane: Arc<Lane>,
    /// Why.
    pub cause: Cause,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_at_ms: u64,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Attempts that the function has failed before the last one.
    pub attempts: u8,
}

impl DeadLetter {
    /// Attempts that the function has failed in all.
    #[must_use]
    pub fn failures(&self) -> u8 {
        match self.cause {
            Cause::RetriesExhausted => self.attempts.saturating_add(1),
            Cause::EventAgeExceeded | Cause::NoConcurrency | Cause::FunctionDeleted | Cause::Damaged => self.attempts,
        }
    }
}

/// The claim ran out, or was settled already: nothing may be done under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseLost;

/// How many events do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Neither running nor given up.
    pub waiting: usize,
    /// Under a lease.
    pub running: usize,
    /// Given up.
    pub dead: usize,
}

#[derive(Debug)]
struct Event {
    accepted_at_ms: u64,
    /// Of [`State::Delayed`]: when it is due. Of [`State::Dead`]: since when.
    at_ms: u64,
    place: Place,
    lane: u32,
    /// Of its frame in the log.
    bytes: u32,
    attempts: u8,
    backoffs: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Delayed,
    Running,
    Dead(Cause),
}

/// How far an event has come by the time the machine hears of it.
#[derive(Clone, Copy)]
struct Course {
    attempts: u8,
    state: State,
    at_ms: u64,
}

#[derive(Debug)]
struct Running {
    token: u64,
    until_ms: u64,
    /// Its end is on the way to the disk: the lease cannot run out any more.
    is_settling: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    events: BTreeMap<EventId, Event>,
    lanes: Lanes,
    running: HashMap<EventId, Running>,
    leases: BTreeSet<(u64, EventId)>,
    dead: BTreeSet<EventId>,
    /// Bytes of frames that are still needed, by segment.
    live_bytes: BTreeMap<u32, u64>,
    last_token: u64,
    is_started: bool,
}

impl Machine {
    /// Follows a record that is on the disk; `sequence`, `place` and `bytes` are those of its frame.
    pub(crate) fn apply(&mut self, sequence: u64, place: Place, bytes: u64, record: &Record) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match record {
            Record::Accepted(accepted) => {
                let course = Course { attempts: 0, state: State::Fresh, at_ms: 0 };
                self.insert(EventId(sequence), accepted, (place, bytes), course);
            }
            Record::Retried { id, attempts, due_at_ms } => {
                if let Some(event) = self.events.get_mut(id) {
                    event.attempts = *attempts;
                    event.backoffs = 0;
                }
                self.change(*id, State::Delayed, *due_at_ms);
            }
            Record::Dead { id, cause, at_ms } => self.change(*id, State::Dead(*cause), *at_ms),
            Record::Finished { id } => self.remove(*id),
            Record::Redriven { id, at_ms } => {
                if let Some(event) = self.events.get_mut(id) {
                    event.attempts = 0;
                    event.backoffs = 0;
                    event.accepted_at_ms = *at_ms;
                }
                self.change(*id, State::Fresh, 0);
            }
            Record::Moved { id, attempts, standing, accepted } => {
                if self.events.contains_key(id) {
                    self.relocate(*id, place, bytes);
                } else {
                    let (state, at_ms) = match standing {
                        Standing::Waiting { due_at_ms: 0 } => (State::Fresh, 0),
                        Standing::Waiting { due_at_ms } => (State::Delayed, *due_at_ms),
                        Standing::Dead { cause, at_ms } => (State::Dead(*cause), *at_ms),
                    };
                    self.insert(*id, accepted, (place, bytes), Course { attempts: *attempts, state, at_ms });
                }
            }
        }
    }

    /// All records that there were have been applied: puts what waits in order.
    pub(crate) fn start(&mut self) {
        self.is_started = true;
        let waiting: Vec<_> =
            self.events.iter().map(|(id, event)| (*id, event.lane, event.state, event.at_ms)).collect();
        for (id, lane, state, at_ms) in waiting {
            self.queue(id, lane, state, at_ms);
        }
    }

    fn insert(&mut self, id: EventId, accepted: &Accepted, (place, bytes): (Place, u32), course: Course) {
        let lane = self.lanes.enter(&accepted.lane);
        let accepted_at_ms = accepted.accepted_at_ms;
        let Course { attempts, state, at_ms } = course;
        self.events.insert(id, Event { accepted_at_ms, at_ms, place, lane, bytes, attempts, backoffs: 0, state });
        *self.live_bytes.entry(place.segment).or_default() += u64::from(bytes);
        if self.is_started {
            self.queue(id, lane, state, at_ms);
        }
    }

    fn queue(&mut self, id: EventId, lane: u32, state: State, at_ms: u64) {
        let Some(waiting) = self.lanes.get_mut(lane) else { return };
        match state {
            State::Fresh => waiting.fresh.push_back(id),
            State::Delayed => drop(waiting.delayed.insert((at_ms, id))),
            State::Dead(_) => drop(self.dead.insert(id)),
            State::Running => {}
        }
    }

    /// Brings an event from one state into another.
    fn change(&mut self, id: EventId, state: State, at_ms: u64) {
        let Some(event) = self.events.get_mut(&id) else { return };
        let (before, before_ms, lane) = (event.state, event.at_ms, event.lane);
        event.state = state;
        event.at_ms = at_ms;
        self.unqueue(id, lane, before, before_ms);
        if self.is_started {
            self.queue(id, lane, state, at_ms);
        }
    }

    fn unqueue(&mut self, id: EventId, lane: u32, state: State, at_ms: u64) {
        match state {
            // Whoever finds it there sees that it is not what it was.
            State::Fresh => {}
            State::Delayed => {
                if let Some(waiting) = self.lanes.get_mut(lane) {
                    waiting.delayed.remove(&(at_ms, id));
                }
            }
            State::Running => {
                if let Some(running) = self.running.remove(&id) {
                    self.leases.remove(&(running.until_ms, id));
                }
            }
            State::Dead(_) => drop(self.dead.remove(&id)),
        }
    }

    fn remove(&mut self, id: EventId) {
        let Some(event) = self.events.remove(&id) else { return };
        self.unqueue(id, event.lane, event.state, event.at_ms);
        self.lanes.leave(event.lane);
        self.release_bytes(event.place.segment, event.bytes);
    }

    fn relocate(&mut self, id: EventId, place: Place, bytes: u32) {
        let Some(event) = self.events.get_mut(&id) else { return };
        let (segment, old_bytes) = (event.place.segment, event.bytes);
        event.place = place;
        event.bytes = bytes;
        *self.live_bytes.entry(place.segment).or_default() += u64::from(bytes);
        self.release_bytes(segment, old_bytes);
    }

    fn release_bytes(&mut self, segment: u32, bytes: u32) {
        if let Some(live) = self.live_bytes.get_mut(&segment) {
            *live = live.saturating_sub(u64::from(bytes));
            if *live == 0 {
                self.live_bytes.remove(&segment);
            }
        }
    }

    /// Gives the next event of a lane that is due, until a time, to one who has not got it yet.
    pub(crate) fn claim(&mut self, lane: &Lane, now_ms: u64, until_ms: u64) -> Option<Claim> {
        self.lapse(now_ms);
        let number = self.lanes.number(lane)?;
        let waiting = self.lanes.get_mut(number)?;
        let due = waiting.delayed.first().filter(|(due_at_ms, _)| *due_at_ms <= now_ms).map(|(_, id)| *id);
        let id = match due {
            Some(id) => id,
            None => loop {
                let id = waiting.fresh.pop_front()?;
                if self.events.get(&id).is_some_and(|event| event.state == State::Fresh) {
                    break id;
                }
            },
        };
        self.change(id, State::Running, 0);
        self.last_token += 1;
        let token = self.last_token;
        self.running.insert(id, Running { token, until_ms, is_settling: false });
        self.leases.insert((until_ms, id));
        let event = self.events.get(&id)?;
        Some(Claim { lease: Lease { id, token }, progress: event.progress(), place: event.place })
    }

    /// Ends leases that have run out: their events are due.
    pub(crate) fn lapse(&mut self, now_ms: u64) {
        while let Some((until_ms, id)) = self.leases.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.change(id, State::Delayed, until_ms);
        }
    }

    /// Prolongs a lease.
    pub(crate) fn extend(&mut self, lease: Lease, now_ms: u64, until_ms: u64) -> Result<(), LeaseLost> {
        let running = self.held(lease, now_ms)?;
        let before_ms = std::mem::replace(&mut running.until_ms, until_ms);
        self.leases.remove(&(before_ms, lease.id));
        self.leases.insert((until_ms, lease.id));
        Ok(())
    }

    /// Says that the end of an attempt is on its way to the disk; gives how far the event has come.
    pub(crate) fn settle(&mut self, lease: Lease, now_ms: u64) -> Result<Progress, LeaseLost> {
        let running = self.held(lease, now_ms)?;
        running.is_settling = true;
        let until_ms = running.until_ms;
        self.leases.remove(&(until_ms, lease.id));
        self.events.get(&lease.id).map(Event::progress).ok_or(LeaseLost)
    }

    /// The end did not get to the disk: the lease is as it was.
    pub(crate) fn unsettle(&mut self, id: EventId) {
        if let Some(running) = self.running.get_mut(&id).filter(|running| running.is_settling) {
            running.is_settling = false;
            self.leases.insert((running.until_ms, id));
        } else if self.events.get(&id).is_some_and(|event| matches!(event.state, State::Dead(_))) {
            self.dead.insert(id);
        }
    }

    /// Puts an event back that may not count as tried.
    pub(crate) fn give_back(&mut self, lease: Lease, now_ms: u64, due_at_ms: u64) -> Result<(), LeaseLost> {
        self.held(lease, now_ms)?;
        if let Some(event) = self.events.get_mut(&lease.id) {
            event.backoffs = event.backoffs.saturating_add(1);
        }
        self.change(lease.id, State::Delayed, due_at_ms);
        Ok(())
    }

    fn held(&mut self, lease: Lease, now_ms: u64) -> Result<&mut Running, LeaseLost> {
        let held =
            |running: &&mut Running| running.token == lease.token && !running.is_settling && now_ms < running.until_ms;
        self.running.get_mut(&lease.id).filter(held).ok_or(LeaseLost)
    }

    /// An event that was given up, and the record that would take it out of the list.
    pub(crate) fn dead_letter(&self, id: EventId) -> Option<DeadLetter> {
        let event = self.events.get(&id)?;
        let State::Dead(cause) = event.state else { return None };
        let lane = Arc::clone(&self.lanes.get(event.lane)?.lane);
        let Event { accepted_at_ms, at_ms, attempts, .. } = *event;
        Some(DeadLetter { id, lane, cause, accepted_at_ms, at_ms, attempts })
    }

    /// Events that were given up, from one on (exclusive), in the order in which they were accepted.
    pub(crate) fn dead_letters(&self, after: Option<EventId>, limit: usize) -> Vec<DeadLetter> {
        let from = EventId(after.map_or(0, |after| after.0.saturating_add(1)));
        self.dead.range(from..).take(limit).filter_map(|id| self.dead_letter(*id)).collect()
    }

    /// Takes an event that was given up out of the list, in favour of a record that will say what becomes of it.
    pub(crate) fn take_dead(&mut self, id: EventId) -> Option<()> {
        if self.dead.remove(&id) { Some(()) } else { None }
    }

    /// Where an event is that was not finished.
    pub(crate) fn place(&self, id: EventId) -> Option<Place> {
        Some(self.events.get(&id)?.place)
    }

    /// What a record that moves an event must say of it; `None` when it is not at this place any more.
    pub(crate) fn standing(&self, id: EventId, place: Place) -> Option<(u8, Standing)> {
        let event = self.events.get(&id).filter(|event| event.place == place)?;
        let standing = match event.state {
            State::Fresh | State::Running => Standing::Waiting { due_at_ms: 0 },
            State::Delayed => Standing::Waiting { due_at_ms: event.at_ms },
            State::Dead(cause) => Standing::Dead { cause, at_ms: event.at_ms },
        };
        Some((event.attempts, standing))
    }

    /// As redriven and accepted events have it now.
    pub(crate) fn accepted_at_ms(&self, id: EventId) -> Option<u64> {
        Some(self.events.get(&id)?.accepted_at_ms)
    }

    /// Lanes in which something is due.
    pub(crate) fn due_lanes(&mut self, now_ms: u64) -> Vec<Arc<Lane>> {
        self.lapse(now_ms);
        let due = self.lanes.iter().filter(|waiting| waiting.is_due(now_ms));
        due.map(|waiting| Arc::clone(&waiting.lane)).collect()
    }

    /// When the next event is due that is not yet, or the next lease runs out.
    pub(crate) fn next_due_ms(&self, now_ms: u64) -> Option<u64> {
        let lease = self.leases.first().map(|(until_ms, _)| *until_ms);
        self.lanes.iter().filter_map(|waiting| waiting.due_after_ms(now_ms)).chain(lease).min()
    }

    /// Bytes of a segment that are needed.
    pub(crate) fn live_bytes_of(&self, segment: u32) -> u64 {
        self.live_bytes.get(&segment).copied().unwrap_or(0)
    }

    /// Bytes of the log that are needed.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.values().sum()
    }

    /// Events that are not finished.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        let (running, dead) = (self.running.len(), self.dead.len());
        Counts { waiting: self.events.len().saturating_sub(running + dead), running, dead }
    }
}

impl Event {
    fn progress(&self) -> Progress {
        Progress { accepted_at_ms: self.accepted_at_ms, attempts: self.attempts, backoffs: self.backoffs }
    }
}

/// The record of an attempt that counts.
pub(crate) fn retry_record(id: EventId, progress: Progress, due_at_ms: u64) -> Record {
    Record::Retried { id, attempts: progress.attempts.saturating_add(1), due_at_ms }
}

#[cfg(test)]
pub(crate) mod tests;
