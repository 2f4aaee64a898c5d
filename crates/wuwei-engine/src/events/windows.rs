//! How many attempts of each function run at a time: more while they find room, fewer while they do not.
//!
//! A backlog that would be refused is so not read over and over.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::Id;
use wuwei_queue::Lane;

use super::attempt::Ending;

/// Attempts at a time of a function of which nothing is known. Few: each success is room for one more, so that a function
/// without a limit of its own soon has many, and one with a small limit is not refused again and again at each start.
const FIRST: usize = 4;
/// How long nothing of a function is tried after there was no room although none of its events ran.
const PAUSE_MS: u64 = 1_000;
/// Once the limit was met, it is tried again after so many times as many attempts as fit.
const ROUNDS: usize = 4;

#[derive(Debug)]
struct Window {
    running: usize,
    most: usize,
    /// There was no room once: so many fit, and only now and then is one more tried.
    is_limited: bool,
    /// Attempts that have found room since `most` was set.
    found_room: usize,
    resume_at_ms: u64,
}

/// By function.
#[derive(Debug, Default)]
pub(super) struct Windows {
    windows: HashMap<Arc<Lane>, Window>,
    running: HashMap<Id, Arc<Lane>>,
}

impl Windows {
    /// Whether one more attempt may begin.
    pub(super) fn has_room(&self, lane: &Arc<Lane>, now_ms: u64) -> bool {
        self.windows.get(lane).is_none_or(|window| window.running < window.most && window.resume_at_ms <= now_ms)
    }

    pub(super) fn begin(&mut self, id: Id, lane: &Arc<Lane>) {
        let new = || Window { running: 0, most: FIRST, is_limited: false, found_room: 0, resume_at_ms: 0 };
        self.windows.entry(Arc::clone(lane)).or_insert_with(new).running += 1;
        self.running.insert(id, Arc::clone(lane));
    }

    pub(super) fn end(&mut self, id: Id, ending: Ending, now_ms: u64) {
        let Some(lane) = self.running.remove(&id) else { return };
        let Some(window) = self.windows.get_mut(&lane) else { return };
        window.running -= 1;
        match ending {
            Ending::Ran => {
                window.found_room += 1;
                if !window.is_limited || window.found_room >= ROUNDS * window.most {
                    window.most = window.most.saturating_add(1);
                    window.found_room = 0;
                }
            }
            Ending::Throttled => {
                window.is_limited = true;
                window.found_room = 0;
                window.most = window.running.max(1);
                if window.running == 0 {
                    window.resume_at_ms = now_ms.saturating_add(PAUSE_MS);
                }
            }
        }
        if window.running == 0 && window.resume_at_ms <= now_ms {
            self.windows.remove(&lane);
        }
    }

    /// When the first of the functions that are left in peace may be tried again. Forgets those that are not running.
    pub(super) fn next_resume_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.windows.retain(|_, window| window.running > 0 || window.resume_at_ms > now_ms);
        let paused = self.windows.values().map(|window| window.resume_at_ms);
        paused.filter(|resume_at_ms| *resume_at_ms > now_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::{Id, JoinSet};
    use wuwei_model::FunctionKey;
    use wuwei_queue::Lane;

    use super::{FIRST, PAUSE_MS, ROUNDS, Windows};
    use crate::events::attempt::Ending;

    fn lane() -> Arc<Lane> {
        let function = FunctionKey { account: "000000000000".into(), region: "us-east-1".into(), name: "f".into() };
        Arc::new(Lane { function, generation: "1".into() })
    }

    /// Begins as many as there is room for.
    fn fill(windows: &mut Windows, tasks: &mut JoinSet<()>, lane: &Arc<Lane>, now_ms: u64) -> Vec<Id> {
        let mut begun = Vec::new();
        while begun.len() < 1_000 && windows.has_room(lane, now_ms) {
            let id = tasks.spawn(async {}).id();
            windows.begin(id, lane);
            begun.push(id);
        }
        begun
    }

    #[tokio::test]
    async fn attempts_grow_while_there_is_room() {
        let (mut windows, mut tasks, lane) = (Windows::default(), JoinSet::new(), lane());
        let mut running = fill(&mut windows, &mut tasks, &lane, 0);
        assert_eq!(running.len(), FIRST);
        for id in running.drain(1..) {
            windows.end(id, Ending::Ran, 0);
        }
        running.extend(fill(&mut windows, &mut tasks, &lane, 0));
        assert_eq!(running.len(), 2 * FIRST - 1);
    }

    #[tokio::test]
    async fn as_many_are_tried_as_fit_and_now_and_then_one_more() {
        let (mut windows, mut tasks, lane) = (Windows::default(), JoinSet::new(), lane());
        let mut running = fill(&mut windows, &mut tasks, &lane, 0);
        let more = (0..28).map(|_| tasks.spawn(async {}).id()).inspect(|id| windows.begin(*id, &lane));
        running.extend(more);
        for id in running.drain(4..) {
            windows.end(id, Ending::Throttled, 0);
        }
        for round in 1..=ROUNDS {
            assert_eq!(running.len(), 4, "{round}");
            for id in running.drain(..) {
                windows.end(id, Ending::Ran, 0);
                running_again(&mut windows, &mut tasks, &lane);
            }
            running = windows.running.keys().copied().collect();
        }
        assert_eq!(fill(&mut windows, &mut tasks, &lane, 0).len() + running.len(), 5);
    }

    fn running_again(windows: &mut Windows, tasks: &mut JoinSet<()>, lane: &Arc<Lane>) {
        let id = tasks.spawn(async {}).id();
        windows.begin(id, lane);
    }

    #[tokio::test]
    async fn a_function_is_left_in_peace_when_none_of_its_events_finds_room() {
        let (mut windows, mut tasks, lane) = (Windows::default(), JoinSet::new(), lane());
        for id in fill(&mut windows, &mut tasks, &lane, 0) {
            windows.end(id, Ending::Throttled, 10);
        }
        assert!(!windows.has_room(&lane, PAUSE_MS + 9));
        assert_eq!(windows.next_resume_ms(10), Some(PAUSE_MS + 10));
        assert_eq!(fill(&mut windows, &mut tasks, &lane, PAUSE_MS + 10).len(), 1);
    }

    #[tokio::test]
    async fn a_function_that_is_at_rest_is_forgotten() {
        let (mut windows, mut tasks, lane) = (Windows::default(), JoinSet::new(), lane());
        for id in fill(&mut windows, &mut tasks, &lane, 0) {
            windows.end(id, Ending::Ran, 0);
        }
        assert!(windows.windows.is_empty() && windows.running.is_empty());
        for id in fill(&mut windows, &mut tasks, &lane, 0) {
            windows.end(id, Ending::Throttled, 0);
        }
        assert_eq!(windows.next_resume_ms(PAUSE_MS), None);
        assert!(windows.windows.is_empty());
    }
}
