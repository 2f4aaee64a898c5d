//! How much disk the logs take, and which of them go when it is too much.
//!
//! What is written is added up, so that the directories are read only when something must go.

use std::collections::{BTreeMap, BinaryHeap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// How much disk the logs may take, in bytes. The oldest go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// The log of one function.
    pub function_bytes: u64,
    /// The logs of all functions. Beyond it the function that has most gives way, so that a noisy one does not cost the
    /// others their logs.
    pub total_bytes: u64,
}

impl LogLimits {
    /// The least that either limit may be: several writes and parts fit into it.
    pub const LEAST_BYTES: u64 = 8 * 1024 * 1024;
    /// Without a configuration.
    pub const FUNCTION_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
    /// Without a configuration, on a large disk.
    pub const TOTAL_BYTES_DEFAULT: u64 = 4 * 1024 * 1024 * 1024;

    /// From this size on a file is not written any more: what goes is a small part of a log, not all of it.
    pub(crate) fn part_bytes(self) -> u64 {
        self.function_bytes.min(self.total_bytes) / 8
    }
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { function_bytes: Self::FUNCTION_BYTES_DEFAULT, total_bytes: Self::TOTAL_BYTES_DEFAULT }
    }
}

/// What is kept free below a limit, in bytes: more than one write brings (a buffer, and a record whose every byte is
/// escaped), so that the limit itself is never passed.
fn margin(limit: u64) -> u64 {
    (limit / 16).max(2 * 1024 * 1024).min(limit / 4)
}

/// Why files went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Their function's log was too large.
    Function,
    /// All logs together were too large, and this function's the largest.
    Total,
}

/// Files of one function that are gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) function_directory: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) reason: Reason,
}

/// What every function holds.
pub(crate) struct Holdings {
    limits: LogLimits,
    /// In bytes, by the function's directory.
    functions: BTreeMap<PathBuf, u64>,
    total: u64,
}

impl Holdings {
    /// Starts from what lies there.
    pub(crate) fn new(limits: LogLimits, functions: BTreeMap<PathBuf, u64>) -> Self {
        let total = functions.values().sum();
        Self { limits, functions, total }
    }

    pub(crate) fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Every function that has a log.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.functions.keys().cloned().collect()
    }

    /// So much is there now.
    pub(crate) fn count(&mut self, function_directory: &Path, bytes: u64) {
        self.set(function_directory, bytes);
    }

    /// So much was written.
    pub(crate) fn add(&mut self, function_directory: &Path, bytes: u64) {
        self.set(function_directory, self.of(function_directory).saturating_add(bytes));
    }

    /// All of it is gone.
    pub(crate) fn forget(&mut self, function_directory: &Path) {
        self.set(function_directory, 0);
    }

    /// Removes what is too much after a write into a function's log. `close` is called with each file before it goes.
    pub(crate) fn trim(&mut self, function_directory: &Path, mut close: impl FnMut(&Path)) -> Vec<Removal> {
        let mut removals = Vec::new();
        let function_most = self.limits.function_bytes - margin(self.limits.function_bytes);
        if let Some(excess) = self.of(function_directory).checked_sub(function_most).filter(|excess| *excess > 0) {
            removals.extend(self.remove_oldest(function_directory, excess, Reason::Function, &mut close));
        }
        let margin = margin(self.limits.total_bytes);
        if self.total > self.limits.total_bytes - margin {
            // Twice the margin is freed: looking for the largest function is not done after every write.
            self.free_total(self.limits.total_bytes - 2 * margin, &mut removals, &mut close);
        }
        removals
    }

    fn free_total(&mut self, most: u64, removals: &mut Vec<Removal>, close: &mut impl FnMut(&Path)) {
        let mut largest: BinaryHeap<(u64, PathBuf)> =
            self.functions.iter().map(|(directory, bytes)| (*bytes, directory.clone())).collect();
        while self.total > most {
            let Some((_, directory)) = largest.pop() else { return };
            let Some(removal) = self.remove_oldest(&directory, 1, Reason::Total, close) else { continue };
            match removals.iter_mut().find(|other| other.function_directory == directory) {
                Some(other) => other.bytes += removal.bytes,
                None => removals.push(removal),
            }
            largest.push((self.of(&directory), directory));
        }
    }

    /// Removes the oldest files of a function, at least `bytes` altogether; `None` when nothing could go.
    fn remove_oldest(
        &mut self,
        function_directory: &Path,
        bytes: u64,
        reason: Reason,
        close: &mut impl FnMut(&Path),
    ) -> Option<Removal> {
        let (mut removed, mut kept) = (0, 0);
        let result = (|| {
            for part in files::parts(function_directory)? {
                let length = fs::metadata(&part.path)?.len();
                if removed < bytes {
                    close(&part.path);
                    fs::remove_file(&part.path)?;
                    removed += length;
                } else {
                    kept += length;
                }
            }
            io::Result::Ok(())
        })();
        match result {
            // Counted anew, so that an error of the count cannot last.
            Ok(()) => self.set(function_directory, kept),
            Err(error) => {
                let path = function_directory.display();
                tracing::error!(%path, %error, "the oldest part of a log cannot be removed");
                self.set(function_directory, self.of(function_directory).saturating_sub(removed));
            }
        }
        (removed > 0).then(|| Removal { function_directory: function_directory.to_owned(), bytes: removed, reason })
    }

    fn of(&self, function_directory: &Path) -> u64 {
        self.functions.get(function_directory).copied().unwrap_or_default()
    }

    fn set(&mut self, function_directory: &Path, bytes: u64) {
        self.total = self.total.saturating_sub(self.of(function_directory)).saturating_add(bytes);
        if bytes == 0 {
            self.functions.remove(function_directory);
        } else {
            self.functions.insert(function_directory.to_owned(), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Holdings, LogLimits, Reason, Removal};
    use crate::files;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    const LIMITS: LogLimits = LogLimits { function_bytes: 800, total_bytes: 1_600 };

    /// Files of 100 bytes for each function, all of one day.
    fn holdings(root: &Path, functions: &[(&str, u32)]) -> Holdings {
        let mut held = BTreeMap::new();
        for (name, count) in functions {
            let directory = root.join(name);
            fs::create_dir_all(&directory).unwrap();
            for number in 0..*count {
                fs::write(files::part_file(&directory, files::day_of(0), number), [0; 100]).unwrap();
            }
            held.insert(directory, u64::from(*count) * 100);
        }
        Holdings::new(LIMITS, held)
    }

    fn numbers(directory: &Path) -> Vec<u32> {
        files::parts(directory).unwrap().into_iter().map(|part| part.number).collect()
    }

    fn removal(function_directory: PathBuf, bytes: u64, reason: Reason) -> Removal {
        Removal { function_directory, bytes, reason }
    }

    #[test]
    fn the_oldest_parts_of_a_function_go_when_it_has_too_much() {
        let root = tempfile::tempdir().unwrap();
        let mut holdings = holdings(root.path(), &[("f", 6), ("g", 2)]);
        let f = root.path().join("f");
        assert_eq!(holdings.trim(&f, |_| {}), []);
        fs::write(files::part_file(&f, files::day_of(0), 6), [0; 150]).unwrap();
        holdings.add(&f, 150);
        let mut closed = Vec::new();
        let removals = holdings.trim(&f, |path| closed.push(path.to_owned()));
        assert_eq!(removals, [removal(f.clone(), 200, Reason::Function)]);
        assert_eq!(closed.len(), 2);
        assert_eq!(numbers(&f), [2, 3, 4, 5, 6]);
        assert_eq!(numbers(&root.path().join("g")), [0, 1]);
        assert_eq!((holdings.of(&f), holdings.total), (550, 750));
    }

    #[test]
    fn of_all_logs_the_largest_gives_way_and_small_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let mut holdings = holdings(root.path(), &[("a", 6), ("b", 5), ("small", 2)]);
        let small = root.path().join("small");
        assert_eq!(
            holdings.trim(&small, |_| {}),
            [removal(root.path().join("a"), 300, Reason::Total), {
                removal(root.path().join("b"), 200, Reason::Total)
            }]
        );
        assert_eq!(numbers(&small), [0, 1]);
        assert_eq!(holdings.total, 800);
        holdings.forget(&small);
        assert_eq!(holdings.total, 600);
    }

    #[test]
    fn a_wrong_count_ends_when_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let mut holdings = Holdings::new(LIMITS, BTreeMap::from([(root.path().join("gone"), 5_000)]));
        assert_eq!(holdings.trim(Path::new("other"), |_| {}), []);
        assert_eq!(holdings.total, 0);
    }
}
