//! The launcher: a small single-threaded process that holds the privilege to build sandboxes.
//!
//! The server (multi-threaded, network-facing) asks it over a socket pair; it clones, encloses, reaps and cleans up.
//! When the server goes away, however it ends, the launcher kills every sandbox, removes its control groups and exits.

mod channel;
mod enclosure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod mounter;
mod mounts;
mod process;
mod protocol;
mod slot;
mod template;
mod users;
mod zygotes;

pub(crate) use channel::{Received, receive, send};
pub(crate) use enclosure::{RELAY_PORT, RUNTIME_API_PORT, Step, at_step};
pub(crate) use process::appointed_template;
pub use process::{run_launcher, run_launcher_for};
pub(crate) use protocol::{
    Ahead, Bind, Event, Isolation, LaunchRequest, MountAnswer, MountOrder, Request, Setup, ZygoteKind,
};
pub(crate) use template::{SANDBOX_GID, SANDBOX_UID};
pub use users::HOST_USERS;
pub(crate) use users::{HostUsers, claim_name};
