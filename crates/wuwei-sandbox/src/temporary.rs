//! `/tmp` of functions: a file system on the disk for each environment, so that its files are not memory.
//!
//! A **keeper** makes them: an image file without a name, a loop device that is free with its last user, an ext4 file system,
//! a mount that is attached nowhere. The server holds the mount for as long as the environment lives, and gives each sandbox
//! of it another one. Whoever is killed, the kernel clears all of it away.

mod client;
mod image;
mod keeper;
mod pristine;
mod protocol;

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::instance::Usage;
pub(crate) use client::{KeeperClient, KeeperOptions};
pub use keeper::run_keeper;
use pristine::Pristine;

/// The files in `/tmp` of one execution environment: they survive a reset of its runtime, and end with the last clone.
#[derive(Clone, Default)]
pub struct TemporaryFiles(Arc<Mutex<Option<Held>>>);

impl TemporaryFiles {
    /// Whether there is a file system already.
    pub(crate) fn is_held(&self) -> bool {
        self.held().is_some()
    }

    /// Takes the file system over that was made for another, if it has one.
    pub(crate) fn take_over(&self, other: &Self) {
        let taken = other.held().take();
        let before = std::mem::replace(&mut *self.held(), taken);
        drop(before);
    }

    /// A sandbox has it, until this is set.
    pub(crate) fn is_used_until(&self, reaped: &Arc<OnceLock<Usage>>) {
        if let Some(held) = &mut *self.held() {
            held.users.push(Arc::clone(reaped));
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        // It is replaced as a whole, also when a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TemporaryFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TemporaryFiles(..)")
    }
}

/// A file system and who clears it away.
struct Held {
    mount: Arc<OwnedFd>,
    megabytes: u32,
    /// What it was like, where that can be told.
    pristine: Option<Pristine>,
    /// How many mounts of it were given to sandboxes.
    given: usize,
    /// Those sandboxes.
    users: Vec<Arc<OnceLock<Usage>>>,
    keeper: Arc<KeeperClient>,
}

/// A file system that nobody has.
struct Spare {
    mount: OwnedFd,
    pristine: Option<Pristine>,
}

impl Spare {
    fn new(mount: OwnedFd) -> Self {
        let pristine = Pristine::of(&mount).inspect_err(|error| tracing::debug!(%error, "used once")).ok();
        Self { mount, pristine }
    }
}

impl Held {
    /// Whether it is as if it had never been used. It is not, as long as somebody may still write to it.
    fn is_pristine(&self) -> bool {
        let all_ended = self.users.len() == self.given && self.users.iter().all(|user| user.get().is_some());
        all_ended && self.pristine.is_some_and(|pristine| pristine.is_still(&self.mount))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Most functions write nothing.
        if self.is_pristine()
            && let Ok(mount) = self.mount.try_clone()
            && self.keeper.take_back(self.megabytes, Spare { mount, pristine: self.pristine })
        {
            return;
        }
        self.keeper.give_up(&self.mount);
    }
}

/// Makes `/tmp`s, where the host lets it.
pub(crate) struct Temporaries {
    /// Or why there is none.
    keeper: Result<Arc<KeeperClient>, String>,
}

impl Temporaries {
    /// Starts the keeper. Where that fails, `/tmp` is in memory.
    pub(crate) async fn start(options: Option<KeeperOptions>) -> Self {
        let keeper = match options {
            Some(options) => KeeperClient::start(options).await,
            None => Err("not asked for".to_owned()),
        };
        Self { keeper }
    }

    /// Why `/tmp` is in memory.
    pub(crate) fn lack(&self) -> Option<&str> {
        self.keeper.as_ref().err().map(String::as_str)
    }

    /// A mount for one sandbox of an environment; none where its `/tmp` is to be in memory.
    pub(crate) async fn mount(&self, files: &TemporaryFiles, megabytes: u32) -> Option<OwnedFd> {
        let keeper = self.keeper.as_ref().ok()?;
        let held = files.held().as_ref().map(|held| Arc::clone(&held.mount));
        let held = match held {
            Some(held) => held,
            None => match keeper.make(megabytes).await {
                Ok(Spare { mount, pristine }) => {
                    let (mount, keeper) = (Arc::new(mount), Arc::clone(keeper));
                    let (given, users) = (0, Vec::new());
                    let held = Held { mount: Arc::clone(&mount), megabytes, pristine, given, users, keeper };
                    *files.held() = Some(held);
                    mount
                }
                Err(error) => {
                    tracing::warn!(%error, "`/tmp` of a function is in memory");
                    return None;
                }
            },
        };
        if let Some(held) = &mut *files.held() {
            held.given += 1;
        }
        match keeper.mount_again(held.as_fd()).await {
            Ok(mount) => Some(mount),
            Err(error) => {
                tracing::warn!(%error, "`/tmp` of a function is in memory");
                None
            }
        }
    }

    /// Ends the keeper.
    pub(crate) async fn shut_down(&self) {
        if let Ok(keeper) = &self.keeper {
            keeper.shut_down().await;
        }
    }
}
