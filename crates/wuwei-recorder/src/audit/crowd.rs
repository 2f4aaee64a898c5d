//! How many entries each caller may leave.

use std::collections::HashMap;

/// Entries of a caller a minute.
pub(super) const PER_MINUTE: u32 = 600;
/// The same, of all who are not known together.
pub(super) const STRANGERS_PER_MINUTE: u32 = 60;
/// Callers that are told apart; more than that are one.
pub(super) const CALLERS_MAX: usize = 4_096;
/// The name of those.
const THE_REST: &str = "*";

/// The callers of this minute.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    minute: i64,
    callers: HashMap<String, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    entries: u32,
    left_out: u64,
}

impl Crowd {
    /// How many entries of this caller were left out before one at a time; `None` when this one is to be left out, too.
    pub(super) fn admit(&mut self, caller: &str, time_ms: i64) -> Option<u64> {
        let minute = time_ms.div_euclid(60_000);
        if self.minute != minute {
            self.minute = minute;
            self.begin_minute();
        }
        let is_room = self.callers.len() < CALLERS_MAX || self.callers.contains_key(caller);
        let caller = if is_room { caller } else { THE_REST };
        let tally = self.callers.entry(caller.to_owned()).or_default();
        let most = if caller.is_empty() { STRANGERS_PER_MINUTE } else { PER_MINUTE };
        if tally.entries >= most {
            tally.left_out += 1;
            return None;
        }
        tally.entries += 1;
        Some(std::mem::take(&mut tally.left_out))
    }

    /// What was left out of a caller is told with the next entry; of callers who stay away it is added up.
    fn begin_minute(&mut self) {
        self.callers.retain(|_, tally| tally.left_out > 0);
        self.callers.values_mut().for_each(|tally| tally.entries = 0);
        if self.callers.len() > CALLERS_MAX / 2 {
            let left_out = self.callers.values().map(|tally| tally.left_out).sum();
            self.callers = HashMap::from([(THE_REST.to_owned(), Tally { entries: 0, left_out })]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLERS_MAX, Crowd, PER_MINUTE, STRANGERS_PER_MINUTE};

    #[test]
    fn each_caller_has_a_share_of_each_minute() {
        let mut crowd = Crowd::default();
        let mut write = |caller: &str, minute: i64| crowd.admit(caller, minute * 60_000 + 59_999);
        for _ in 0..PER_MINUTE {
            assert_eq!(write("a", 0), Some(0));
        }
        assert_eq!((write("a", 0), write("a", 0)), (None, None));
        assert_eq!(write("b", 0), Some(0));
        assert_eq!((write("b", 1), write("a", 2), write("a", 2)), (Some(0), Some(2), Some(0)));
        for _ in 0..STRANGERS_PER_MINUTE {
            assert_eq!(write("", 2), Some(0));
        }
        assert_eq!(write("", 2), None);
    }

    #[test]
    fn any_number_of_callers_takes_bounded_memory_and_nothing_goes_uncounted() {
        let mut crowd = Crowd::default();
        let (mut written, mut told) = (0_u64, 0);
        let minutes = 4;
        let callers = u64::try_from(2 * CALLERS_MAX).unwrap();
        for minute in 0..minutes {
            for caller in 0..callers {
                let left_out = crowd.admit(&format!("{minute}-{caller}"), minute * 60_000);
                written += u64::from(left_out.is_some());
                told += left_out.unwrap_or(0);
            }
            assert!(crowd.callers.len() <= CALLERS_MAX + 1);
        }
        let waiting: u64 = crowd.callers.values().map(|tally| tally.left_out).sum();
        assert_eq!(written + told + waiting, callers * u64::try_from(minutes).unwrap());
    }
}
