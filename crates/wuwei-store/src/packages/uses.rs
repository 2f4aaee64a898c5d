//! Which packages are in use, so that none goes that somebody needs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use wuwei_model::CodeDigest;

/// Counts uses.
#[derive(Debug)]
pub(super) struct Uses {
    state: Mutex<State>,
    /// Told when a package may have become garbage.
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<CodeDigest, usize>,
    /// To be looked at when their last use ends.
    doubtful: HashSet<CodeDigest>,
    /// What was in use at some time since a collection began, and may be named by a function since; `None` while there
    /// is none.
    touched: Option<HashSet<CodeDigest>>,
}

/// A package that somebody needs. It is not removed while this lives, whatever becomes of the functions that named it.
pub struct PackageUse {
    digest: CodeDigest,
    uses: Arc<Uses>,
}

impl Uses {
    pub(super) fn new(freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), freed })
    }

    /// A use of a package that a function names.
    pub(super) fn begin(self: &Arc<Self>, digest: CodeDigest) -> PackageUse {
        let mut state = self.lock();
        *state.counts.entry(digest).or_default() += 1;
        if let Some(touched) = &mut state.touched {
            touched.insert(digest);
        }
        PackageUse { digest, uses: Arc::clone(self) }
    }

    /// A use of a package that no function may come to name.
    pub(super) fn begin_new(self: &Arc<Self>, digest: CodeDigest) -> PackageUse {
        let package_use = self.begin(digest);
        self.lock().doubtful.insert(digest);
        package_use
    }

    /// From now on it is noted what is used: call before looking at what functions name.
    pub(super) fn begin_collection(&self) {
        self.lock().touched = Some(HashSet::new());
    }

    /// Runs `remove` if nobody uses the package or has used it since the collection began. Nobody can begin to meanwhile.
    pub(super) fn remove_unused<R>(&self, digest: &CodeDigest, remove: impl FnOnce() -> R) -> Option<R> {
        let mut state = self.lock();
        if state.counts.contains_key(digest) {
            state.doubtful.insert(*digest);
            return None;
        }
        if state.touched.as_ref().is_none_or(|touched| touched.contains(digest)) {
            // What was found out about it may be wrong by now.
            self.freed.notify_one();
            return None;
        }
        Some(remove())
    }

    pub(super) fn end_collection(&self) {
        self.lock().touched = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PackageUse {
    fn drop(&mut self) {
        let mut state = self.uses.lock();
        // Whoever used it may have stored a function meanwhile that names it.
        if let Some(touched) = &mut state.touched {
            touched.insert(self.digest);
        }
        let count = state.counts.get_mut(&self.digest).expect("it was counted when this was made");
        *count -= 1;
        if *count == 0 {
            state.counts.remove(&self.digest);
            if state.doubtful.remove(&self.digest) {
                self.uses.freed.notify_one();
            }
        }
    }
}

impl fmt::Debug for PackageUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PackageUse").field(&self.digest).finish()
    }
}
