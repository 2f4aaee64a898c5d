//! How many sandboxes of one kind are to stand ready, from when they were asked for.

use std::time::Duration;

use tokio::time::Instant;

/// What stands ready of a kind that is in use at all.
const LEAST: usize = 2;
/// Starts within this time count as one burst.
const BURST: Duration = Duration::from_secs(1);
/// A number that no burst has needed for this long is halved.
const HALVED_AFTER: Duration = Duration::from_secs(30);
/// A kind that nobody has asked for for this long has none.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// What is known of the demand for one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Last time that it was asked for.
    last: Instant,
    burst_began: Instant,
    in_burst: usize,
    wanted: usize,
    /// Last time that a burst needed more than half of what is wanted, or that this was halved.
    needed: Instant,
    most: usize,
}

impl Demand {
    /// Of a kind that may be asked for soon; never more than `most` are wanted.
    pub(super) fn expected(now: Instant, most: usize) -> Self {
        Self { last: now, burst_began: now, in_burst: 0, wanted: LEAST.min(most), needed: now, most }
    }

    /// Somebody may ask for it soon.
    pub(super) fn expect(&mut self, now: Instant) {
        self.last = now;
        self.wanted = self.wanted.max(LEAST.min(self.most));
    }

    /// Somebody asks for it.
    pub(super) fn ask(&mut self, now: Instant) {
        if now.duration_since(self.burst_began) > BURST {
            (self.burst_began, self.in_burst) = (now, 0);
        }
        self.in_burst += 1;
        self.wanted = self.wanted.max(self.in_burst).max(LEAST).min(self.most);
        if self.in_burst * 2 > self.wanted {
            self.needed = now;
        }
        self.last = now;
    }

    /// When somebody asked for it last.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// How many are to stand ready.
    pub(super) fn wanted(&mut self, now: Instant) -> usize {
        if now.duration_since(self.last) > FORGOTTEN_AFTER {
            self.wanted = 0;
        } else if now.duration_since(self.needed) > HALVED_AFTER && self.wanted > LEAST {
            self.wanted = (self.wanted / 2).max(LEAST);
            self.needed = now;
        }
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Demand, FORGOTTEN_AFTER, HALVED_AFTER};

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_raises_what_is_wanted_up_to_the_most_and_time_lowers_it_again() {
        let mut now = Instant::now();
        let mut demand = Demand::expected(now, 20);
        assert_eq!(demand.wanted(now), 2);
        for _ in 0..30 {
            demand.ask(now);
            now += MOMENT;
        }
        assert_eq!(demand.wanted(now), 20);
        let mut seen = Vec::new();
        for _ in 0..5 {
            now += HALVED_AFTER + MOMENT;
            seen.push(demand.wanted(now));
        }
        assert_eq!(seen, [10, 5, 2, 2, 2]);
        now += FORGOTTEN_AFTER;
        assert_eq!(demand.wanted(now), 0);
    }

    #[test]
    fn starts_that_come_now_and_then_keep_the_least_and_are_no_burst() {
        let mut now = Instant::now();
        let mut demand = Demand::expected(now, 20);
        for _ in 0..100 {
            demand.ask(now);
            now += FORGOTTEN_AFTER;
        }
        now -= FORGOTTEN_AFTER;
        assert_eq!(demand.wanted(now), 2);
    }

    #[test]
    fn a_number_that_is_needed_again_and_again_stays() {
        let mut now = Instant::now();
        let mut demand = Demand::expected(now, 20);
        for _ in 0..100 {
            (0..8).for_each(|_| demand.ask(now));
            now += HALVED_AFTER;
            assert_eq!(demand.wanted(now), 8);
        }
    }

    #[test]
    fn nothing_is_wanted_where_nothing_may_be() {
        let now = Instant::now();
        let mut demand = Demand::expected(now, 0);
        demand.ask(now);
        demand.expect(now);
        assert_eq!(demand.wanted(now), 0);
    }
}
