//! The stock: sandboxes that stand ready before anybody asks for them.
//!
//! A blank is built in the background, with all that cannot be changed afterwards (its [`Profile`]), and is given to one
//! function, once. Which profiles have blanks, and how many, follows from what was asked for lately; when there is none,
//! a sandbox is built for its function, as if there were no stock. Nothing depends on a blank being there.

mod blank;
mod demand;
mod profile;
mod shelves;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::host::Outfit;
use crate::temporary::TemporaryFiles;
pub(crate) use blank::{Becoming, Blank, Supplies};
pub(crate) use profile::{Profile, Wanted};
use shelves::Shelves;

/// How often blanks that died, and those that nobody needs any more, are looked for.
const LOOK_ROUND: Duration = Duration::from_secs(1);
/// How long a blank waits for its turn while sandboxes are built for functions, which are called already.
const COURTESY: Duration = Duration::from_millis(100);

/// Bounds of the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockOptions {
    /// Blanks in all; 0 is no stock.
    pub blanks_max: usize,
    /// Blanks of one profile.
    pub profile_max: usize,
    /// Memory that all blanks may take together, in MB.
    pub memory_mb: u64,
}

impl Default for StockOptions {
    fn default() -> Self {
        Self { blanks_max: 64, profile_max: 32, memory_mb: 1024 }
    }
}

/// What is in stock, and what became of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockSnapshot {
    /// Blanks that wait for a function.
    pub ready: u64,
    /// Blanks in work.
    pub building: u64,
    /// Starts that got a blank.
    pub handed_out: u64,
    /// Starts that found none.
    pub missed: u64,
    /// Starts of functions that no blank suits.
    pub unsuited: u64,
    /// Blanks that could not be built, died, or could not be given to their function.
    pub lost: u64,
}

/// The stock of one server.
pub(crate) struct Stock {
    shared: Arc<Shared>,
}

struct Shared {
    supplies: Supplies,
    shelves: Mutex<Shelves>,
    wake: Arc<Notify>,
    /// How many sandboxes are being built for functions.
    callers: watch::Sender<usize>,
}

impl Stock {
    /// Starts to keep a stock, in the background.
    pub(crate) fn start(supplies: Supplies, options: StockOptions) -> Self {
        let wake = Arc::new(Notify::new());
        let shelves = Mutex::new(Shelves::new(options));
        let callers = watch::Sender::new(0);
        let shared = Arc::new(Shared { supplies, shelves, wake: Arc::clone(&wake), callers });
        tokio::spawn(keep(Arc::downgrade(&shared), wake));
        Self { shared }
    }

    /// A blank for a function of this profile (`None`: of one that no blank suits), if there is one.
    pub(crate) fn take(&self, profile: Option<&Profile>) -> Option<Blank> {
        if !self.shared.supplies.client.has_mounter() {
            return None;
        }
        let taken = self.shared.shelves().take(profile, Instant::now());
        self.shared.wake.notify_one();
        taken
    }

    /// A new blank, for a function that waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where its runtime would not be forked.
    pub(crate) async fn build_forked(&self, profile: &Profile) -> io::Result<Blank> {
        let supplies = &self.shared.supplies;
        if !supplies.client.has_mounter() || !profile.is_forked(&supplies.runtime_dir) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        supplies.build(profile).await
    }

    /// A blank was of no use.
    pub(crate) fn lose(&self) {
        self.shared.shelves().lose();
    }

    /// Somebody may ask for this profile soon.
    pub(crate) fn expect(&self, profile: &Profile) {
        self.shared.shelves().expect(profile, Instant::now());
        self.shared.wake.notify_one();
    }

    /// Lets blanks wait while a sandbox is built for a function, until what is returned is dropped.
    pub(crate) fn give_way(&self) -> impl Drop + use<> {
        let callers = self.shared.callers.clone();
        callers.send_modify(|callers| *callers += 1);
        GivenWay(callers)
    }

    /// What is there, and what became of it so far.
    pub(crate) fn snapshot(&self) -> StockSnapshot {
        self.shared.shelves().snapshot()
    }

    /// Ends all blanks, and builds no more.
    pub(crate) fn close(&self) {
        let blanks = self.shared.shelves().close();
        self.shared.wake.notify_one();
        drop(blanks);
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.close();
    }
}

struct GivenWay(watch::Sender<usize>);

impl Drop for GivenWay {
    fn drop(&mut self) {
        self.0.send_modify(|callers| *callers -= 1);
    }
}

impl Supplies {
    async fn build(&self, profile: &Profile) -> io::Result<Blank> {
        let network = self.egress.network(Some(profile.egress())).await?;
        let files = TemporaryFiles::default();
        let temporary = self.temporaries.mount(&files, profile.ephemeral_mb()).await;
        Blank::build(&self.client, profile.request(&self.runtime_dir), Outfit { network, temporary }, files).await
    }
}

impl Shared {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        // The shelves stay consistent at every step, also when a holder panicked.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn let_callers_pass(&self) {
        let mut callers = self.callers.subscribe();
        let none_left = callers.wait_for(|callers| *callers == 0);
        if tokio::time::timeout(COURTESY, none_left).await.is_err() {
            tracing::trace!("a sandbox is built ahead beside those that are waited for");
        }
    }

    async fn build(self: Arc<Self>, profile: Profile) {
        let work = InWork { shared: &self, profile: &profile, is_done: false };
        self.let_callers_pass().await;
        work.finish(self.supplies.build(&profile).await);
    }
}

/// A blank in work: whatever happens, its place is free again.
struct InWork<'shared> {
    shared: &'shared Shared,
    profile: &'shared Profile,
    is_done: bool,
}

impl InWork<'_> {
    fn finish(mut self, built: io::Result<Blank>) {
        self.is_done = true;
        match &built {
            Err(error) if !self.shared.shelves().is_closed() => {
                tracing::warn!(%error, "a sandbox could not be built ahead");
            }
            // At the end of the server what is in work is broken off.
            Ok(_) | Err(_) => {}
        }
        let superfluous = self.shared.shelves().put(self.profile, built.ok(), Instant::now());
        drop(superfluous);
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let superfluous = self.shared.shelves().put(self.profile, None, Instant::now());
            drop(superfluous);
        }
    }
}

/// Builds what is wanted and ends what is not, until the stock is closed.
async fn keep(shared: Weak<Shared>, wake: Arc<Notify>) {
    let at_once = std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).max(1));
    let mut builds = JoinSet::new();
    loop {
        let (idle, rest) = {
            let Some(shared) = shared.upgrade() else { return };
            let superfluous = shared.shelves().look_round(Instant::now());
            drop(superfluous);
            while builds.len() < at_once && shared.supplies.client.has_mounter() {
                let (next, superfluous) = shared.shelves().next(Instant::now());
                drop(superfluous);
                let Some(profile) = next else { break };
                builds.spawn(Arc::clone(&shared).build(profile));
            }
            let shelves = shared.shelves();
            if shelves.is_closed() {
                return;
            }
            (shelves.is_empty(), shelves.rests_until(Instant::now()))
        };
        tokio::select! {
            () = wake.notified() => {}
            Some(_built) = builds.join_next() => {}
            () = tokio::time::sleep_until(rest.unwrap_or_else(|| Instant::now() + LOOK_ROUND)), if !idle => {}
        }
    }
}
