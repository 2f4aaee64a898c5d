//! The events of each lane that wait, in the order in which they will be run.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::record::{EventId, Lane};

/// Lanes by number, so that an event need not know its lane's name.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    numbers: HashMap<Arc<Lane>, u32>,
    lanes: Vec<Option<Waiting>>,
    free: Vec<u32>,
}

/// What waits in one lane.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) lane: Arc<Lane>,
    /// Events that there are, whatever they do.
    events: usize,
    /// Those that were never tried, oldest first.
    pub(super) fresh: VecDeque<EventId>,
    /// The others, by when they are due.
    pub(super) delayed: BTreeSet<(u64, EventId)>,
}

impl Waiting {
    /// Whether one of them can be claimed.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        !self.fresh.is_empty() || self.delayed.first().is_some_and(|(due_at_ms, _)| *due_at_ms <= now_ms)
    }

    /// When the first of those is due that are not yet.
    pub(super) fn due_after_ms(&self, now_ms: u64) -> Option<u64> {
        let from = (now_ms.saturating_add(1), EventId(0));
        self.delayed.range(from..).next().map(|(due_at_ms, _)| *due_at_ms)
    }
}

impl Lanes {
    /// Number of a lane, for one more event.
    pub(super) fn enter(&mut self, lane: &Arc<Lane>) -> u32 {
        if let Some(number) = self.numbers.get(lane).copied() {
            if let Some(waiting) = self.get_mut(number) {
                waiting.events += 1;
            }
            return number;
        }
        let waiting = Waiting { lane: Arc::clone(lane), events: 1, fresh: VecDeque::new(), delayed: BTreeSet::new() };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.lanes.get_mut(number as usize) {
                    *place = Some(waiting);
                }
                number
            }
            None => {
                self.lanes.push(Some(waiting));
                u32::try_from(self.lanes.len() - 1).expect("fewer lanes than events, fewer events than 2^32")
            }
        };
        self.numbers.insert(Arc::clone(lane), number);
        number
    }

    /// One event less. A lane without any is forgotten.
    pub(super) fn leave(&mut self, number: u32) {
        let Some(place) = self.lanes.get_mut(number as usize) else { return };
        let Some(waiting) = place else { return };
        waiting.events -= 1;
        if waiting.events == 0 {
            self.numbers.remove(&waiting.lane);
            *place = None;
            self.free.push(number);
        }
    }

    pub(super) fn number(&self, lane: &Lane) -> Option<u32> {
        self.numbers.get(lane).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Waiting> {
        self.lanes.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Waiting> {
        self.lanes.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.lanes.iter().flatten()
    }
}
