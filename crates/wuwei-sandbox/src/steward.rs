//! The steward: a tiny single-threaded process that stays root, so that the server need not.
//!
//! It does one thing: on the server's word it starts one of the helpers that it knows, with a socket that the server has
//! the other end of. What a helper must not be told by the server (its name, its host users) the steward lays down.

mod client;
mod process;
mod protocol;

pub use client::Steward;
pub use process::{HelperCommands, run_steward};
pub(crate) use protocol::Helper;

/// What a steward lays down for the helpers that it starts; the server cannot change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Names what belongs to the server on the host.
    pub server: String,
    /// First of the range of host users that the steward holds for it.
    pub first_user: u32,
}

/// Whether a name of a server or a sandbox can be part of a path, and of a control group's name.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
