//! What is in stock and what is wanted: decisions only, nothing is built or ended here.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::demand::Demand;
use super::{Blank, Profile, StockOptions, StockSnapshot};

/// What a blank is taken to need until the first of its profile is there.
const BYTES_GUESSED: u64 = 32 * 1024 * 1024;
/// Profiles that are remembered; the one that nobody has asked for the longest goes first.
const PROFILES_MAX: usize = 64;
/// Pause after a blank that could not be built; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Silence after a blank was handed out: to build the next one at once would take the processors from the start that it
/// was for.
const REST: Duration = Duration::from_millis(30);
/// And the longest that starts which follow each other can put it off.
const REST_MAX: Duration = Duration::from_millis(200);
/// How often it is doubled.
const DOUBLINGS_MAX: u32 = 6;

/// What lies on shelves.
pub(super) trait Item {
    /// Whether it is still of use.
    fn is_alive(&self) -> bool;
    /// Memory that it takes.
    fn bytes(&self) -> u64;
}

impl Item for Blank {
    fn is_alive(&self) -> bool {
        Self::is_alive(self)
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }
}

/// All blanks, by profile. What it gives back as superfluous is to be dropped when its lock is free.
pub(super) struct Shelves<Key = Profile, Kept = Blank> {
    options: StockOptions,
    shelves: BTreeMap<Key, Shelf<Kept>>,
    handed_out: u64,
    missed: u64,
    unsuited: u64,
    lost: u64,
    /// First and last time that a blank was handed out, since the last pause between them.
    handing: Option<(Instant, Instant)>,
    closed: bool,
}

struct Shelf<Kept> {
    ready: Vec<Kept>,
    building: usize,
    demand: Demand,
    /// What the last one took.
    bytes: u64,
    failures: u32,
    not_before: Instant,
}

impl<Kept> Shelf<Kept> {
    fn count(&self) -> usize {
        self.ready.len() + self.building
    }

    fn bytes(&self) -> u64 {
        self.bytes * self.count() as u64
    }
}

impl<Key: Ord + Clone, Kept: Item> Shelves<Key, Kept> {
    pub(super) fn new(options: StockOptions) -> Self {
        let (shelves, handing) = (BTreeMap::new(), None);
        Self { options, shelves, handed_out: 0, missed: 0, unsuited: 0, lost: 0, handing, closed: false }
    }

    /// The youngest blank that is alive, whose memory the caches know best.
    pub(super) fn take(&mut self, profile: Option<&Key>, now: Instant) -> Option<Kept> {
        let Some(profile) = profile else {
            self.unsuited += 1;
            return None;
        };
        if self.closed {
            return None;
        }
        let shelf = self.shelf(profile, now);
        shelf.demand.ask(now);
        let mut dead = 0;
        let mut taken = None;
        while let Some(blank) = shelf.ready.pop() {
            if blank.is_alive() {
                taken = Some(blank);
                break;
            }
            dead += 1;
        }
        self.lost += dead;
        match taken {
            Some(_) => {
                self.handed_out += 1;
                let first = self.rests_until(now).and(self.handing).map_or(now, |(first, _last)| first);
                self.handing = Some((first, now));
            }
            None => self.missed += 1,
        }
        taken
    }

    /// One that was handed out was of no use; another one is asked for.
    pub(super) fn lose(&mut self) {
        self.lost += 1;
        self.handed_out -= 1;
    }

    pub(super) fn expect(&mut self, profile: &Key, now: Instant) {
        if !self.closed {
            self.shelf(profile, now).demand.expect(now);
        }
    }

    /// What is to be built next, if anything; and what has to go for it. It counts as in work from now on.
    pub(super) fn next(&mut self, now: Instant) -> (Option<Key>, Option<Kept>) {
        if self.closed {
            return (None, None);
        }
        let rests = self.rests_until(now).is_some();
        let wanting = self.shelves.iter_mut().filter_map(|(profile, shelf)| {
            // The next start would find nothing: that is worse than to burden this one.
            let may = shelf.not_before <= now && !(rests && shelf.count() > 0);
            let wants = may && shelf.demand.wanted(now) > shelf.count();
            wants.then(|| (shelf.demand.last(), profile.clone(), shelf.bytes))
        });
        let Some((last, profile, bytes)) = wanting.max_by_key(|(last, ..)| *last) else { return (None, None) };
        let mut superfluous = None;
        if !self.has_room(bytes) {
            // One that was wanted longer ago goes, when that is enough.
            let older = self.shelves.values_mut().filter(|shelf| !shelf.ready.is_empty() && shelf.demand.last() < last);
            superfluous = older.min_by_key(|shelf| shelf.demand.last()).and_then(|shelf| shelf.ready.pop());
            if superfluous.is_none() || !self.has_room(bytes) {
                return (None, superfluous);
            }
        }
        if let Some(shelf) = self.shelves.get_mut(&profile) {
            shelf.building += 1;
        }
        (Some(profile), superfluous)
    }

    /// Until when only what is missing altogether is built, if that is so now.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.handing.map(|(first, last)| (last + REST).min(first + REST_MAX)).filter(|until| *until > now)
    }

    /// Takes what was in work, or the news that it failed; gives back what nobody wants any more.
    pub(super) fn put(&mut self, profile: &Key, built: Option<Kept>, now: Instant) -> Option<Kept> {
        let closed = self.closed;
        let Some(shelf) = self.shelves.get_mut(profile) else { return built };
        shelf.building = shelf.building.saturating_sub(1);
        match built {
            None => {
                shelf.not_before = now + FIRST_PAUSE * 2_u32.pow(shelf.failures.min(DOUBLINGS_MAX));
                shelf.failures += 1;
                self.lost += 1;
                None
            }
            Some(blank) if closed || shelf.demand.wanted(now) <= shelf.ready.len() => Some(blank),
            Some(blank) => {
                shelf.failures = 0;
                shelf.bytes = blank.bytes();
                shelf.ready.push(blank);
                None
            }
        }
    }

    /// Takes away what died and what nobody wants any more.
    pub(super) fn look_round(&mut self, now: Instant) -> Vec<Kept> {
        let mut gone = Vec::new();
        let mut dead = 0;
        self.shelves.retain(|_profile, shelf| {
            let before = gone.len();
            gone.extend(shelf.ready.extract_if(.., |blank| !blank.is_alive()));
            dead += gone.len() - before;
            let wanted = shelf.demand.wanted(now);
            gone.extend(shelf.ready.drain(wanted.min(shelf.ready.len())..));
            wanted > 0 || shelf.count() > 0
        });
        self.lost += dead as u64;
        gone
    }

    pub(super) fn snapshot(&self) -> StockSnapshot {
        let sum = |of: fn(&Shelf<Kept>) -> usize| self.shelves.values().map(of).sum::<usize>() as u64;
        StockSnapshot {
            ready: sum(|shelf| shelf.ready.len()),
            building: sum(|shelf| shelf.building),
            handed_out: self.handed_out,
            missed: self.missed,
            unsuited: self.unsuited,
            lost: self.lost,
        }
    }

    pub(super) fn close(&mut self) -> Vec<Kept> {
        self.closed = true;
        self.shelves.values_mut().flat_map(|shelf| std::mem::take(&mut shelf.ready)).collect()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing is wanted or there.
    pub(super) fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    fn shelf(&mut self, profile: &Key, now: Instant) -> &mut Shelf<Kept> {
        if !self.shelves.contains_key(profile) && self.shelves.len() >= PROFILES_MAX {
            let empty = self.shelves.iter().filter(|(_, shelf)| shelf.count() == 0);
            let oldest = empty.min_by_key(|(_, shelf)| shelf.demand.last()).map(|(profile, _)| profile.clone());
            if let Some(oldest) = oldest {
                self.shelves.remove(&oldest);
            }
        }
        let most = self.options.profile_max.min(self.options.blanks_max);
        self.shelves.entry(profile.clone()).or_insert_with(|| Shelf {
            ready: Vec::new(),
            building: 0,
            demand: Demand::expected(now, most),
            bytes: BYTES_GUESSED,
            failures: 0,
            not_before: now,
        })
    }

    fn has_room(&self, bytes: u64) -> bool {
        let count: usize = self.shelves.values().map(Shelf::count).sum();
        let taken: u64 = self.shelves.values().map(Shelf::bytes).sum();
        count < self.options.blanks_max && taken + bytes <= self.options.memory_mb * 1024 * 1024
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{FIRST_PAUSE, Item, REST, REST_MAX, Shelves, StockOptions};

    /// A blank that dies when it is told to.
    struct Paper(Rc<Cell<bool>>);

    impl Item for Paper {
        fn is_alive(&self) -> bool {
            self.0.get()
        }
        fn bytes(&self) -> u64 {
            10 * 1024 * 1024
        }
    }

    fn paper() -> Option<Paper> {
        Some(Paper(Rc::new(Cell::new(true))))
    }

    fn shelves(blanks_max: usize, memory_mb: u64) -> Shelves<&'static str, Paper> {
        Shelves::new(StockOptions { blanks_max, profile_max: blanks_max, memory_mb })
    }

    /// Builds until nothing is wanted; gives what was built.
    fn fill(shelves: &mut Shelves<&'static str, Paper>, now: Instant) -> Vec<&'static str> {
        let mut built = Vec::new();
        while let (Some(profile), _gone) = shelves.next(now) {
            assert!(shelves.put(&profile, paper(), now).is_none());
            built.push(profile);
        }
        built
    }

    #[test]
    fn a_profile_that_was_asked_for_is_stocked_and_each_blank_is_handed_out_once() {
        let now = Instant::now();
        let mut shelves = shelves(8, 1_000);
        assert!(shelves.take(Some(&"python"), now).is_none());
        assert_eq!(fill(&mut shelves, now), ["python", "python"]);
        assert!(shelves.take(Some(&"native"), now).is_none());
        assert!(shelves.take(Some(&"python"), now).is_some());
        assert!(shelves.take(Some(&"python"), now).is_some());
        assert!(shelves.take(Some(&"python"), now).is_none());
        assert!(shelves.take(None, now).is_none());
        let seen = shelves.snapshot();
        assert_eq!((seen.ready, seen.handed_out, seen.missed, seen.unsuited), (0, 2, 3, 1));
    }

    #[test]
    fn the_stock_is_filled_again_when_starts_have_gone_on_or_have_put_it_off_long_enough_or_nothing_is_left() {
        let mut now = Instant::now();
        let mut shelves = shelves(32, 1_000);
        (0..32).for_each(|_| drop(shelves.take(Some(&"python"), now)));
        assert_eq!(fill(&mut shelves, now).len(), 32);
        assert!(shelves.take(Some(&"python"), now).is_some());
        assert_eq!((shelves.next(now).0, shelves.rests_until(now)), (None, Some(now + REST)));
        now += REST;
        assert_eq!((fill(&mut shelves, now), shelves.rests_until(now)), (vec!["python"], None));
        // One start after another.
        let began = now;
        while now < began + REST_MAX {
            assert!(shelves.take(Some(&"python"), now).is_some());
            assert_eq!(shelves.next(now).0, None);
            now += REST / 2;
        }
        assert_eq!(shelves.next(now).0, Some("python"));
        // All at once: the next start would find nothing.
        while shelves.take(Some(&"python"), now).is_some() {}
        assert!(shelves.rests_until(now).is_some() && shelves.put(&"python", None, now).is_none());
        now += FIRST_PAUSE;
        assert!(shelves.take(Some(&"python"), now).is_none());
        assert_eq!(shelves.next(now).0, Some("python"));
    }

    #[test]
    fn what_died_is_never_handed_out_and_is_replaced() {
        let now = Instant::now();
        let mut shelves = shelves(8, 1_000);
        shelves.expect(&"python", now);
        let alive = Rc::new(Cell::new(true));
        for _ in 0..2 {
            assert_eq!(shelves.next(now).0, Some("python"));
            assert!(shelves.put(&"python", Some(Paper(Rc::clone(&alive))), now).is_none());
        }
        assert_eq!(shelves.next(now).0, None);
        alive.set(false);
        assert!(shelves.take(Some(&"python"), now).is_none());
        assert_eq!(shelves.snapshot().lost, 2);
        assert_eq!(fill(&mut shelves, now).len(), 2);
        assert!(shelves.look_round(now).is_empty());
    }

    #[test]
    fn the_count_and_the_memory_of_all_blanks_are_bounded() {
        let now = Instant::now();
        let mut few = shelves(3, 1_000);
        (0..9).for_each(|_| drop(few.take(Some(&"python"), now)));
        assert_eq!(fill(&mut few, now).len(), 3);
        // The first counts as 32 MB until it is there, and as the 10 MB that it takes from then on.
        let mut small = shelves(9, 45);
        (0..9).for_each(|_| drop(small.take(Some(&"python"), now)));
        assert_eq!(fill(&mut small, now).len(), 4);
        let mut none = shelves(0, 1_000);
        drop(none.take(Some(&"python"), now));
        assert_eq!(none.next(now).0, None);
    }

    #[test]
    fn what_is_asked_for_now_takes_the_place_of_what_was_asked_for_before() {
        let mut now = Instant::now();
        let mut shelves = shelves(2, 1_000);
        shelves.expect(&"old", now);
        assert_eq!(fill(&mut shelves, now), ["old", "old"]);
        now += Duration::from_secs(1);
        shelves.expect(&"new", now);
        assert_eq!(fill(&mut shelves, now), ["new", "new"]);
        assert!(shelves.take(Some(&"old"), now - Duration::from_secs(1)).is_none());
    }

    #[test]
    fn what_nobody_asks_for_any_more_goes() {
        let mut now = Instant::now();
        let mut shelves = shelves(8, 1_000);
        shelves.expect(&"python", now);
        fill(&mut shelves, now);
        now += Duration::from_secs(601);
        assert_eq!(shelves.look_round(now).len(), 2);
        assert!(shelves.is_empty());
    }

    #[test]
    fn what_cannot_be_built_is_tried_again_later_and_ever_later() {
        let mut now = Instant::now();
        let mut shelves = shelves(8, 1_000);
        shelves.expect(&"python", now);
        for pause in [1, 2, 4] {
            assert_eq!(shelves.next(now).0, Some("python"));
            assert!(shelves.put(&"python", None, now).is_none());
            assert_eq!(shelves.next(now).0, None);
            now += Duration::from_secs(pause);
        }
        assert_eq!(shelves.next(now).0, Some("python"));
    }

    #[test]
    fn a_closed_stock_gives_back_what_is_there_and_what_is_finished_later() {
        let now = Instant::now();
        let mut shelves = shelves(8, 1_000);
        shelves.expect(&"python", now);
        assert_eq!(shelves.next(now).0, Some("python"));
        assert!(shelves.put(&"python", paper(), now).is_none());
        assert_eq!(shelves.next(now).0, Some("python"));
        assert_eq!(shelves.close().len(), 1);
        assert!(shelves.put(&"python", paper(), now).is_some());
        assert_eq!(shelves.next(now).0, None);
    }
}
