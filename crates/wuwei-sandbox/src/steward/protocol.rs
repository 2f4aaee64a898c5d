use serde::{Deserialize, Serialize};

/// A process that a steward starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Helper {
    /// Builds sandboxes.
    Launcher,
    /// Makes their networks.
    Filler,
    /// Makes file systems for `/tmp`.
    Keeper,
}

/// Server to steward.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// First message, sent while the server is still root; answered by `Ready` or `Failed`.
    Setup {
        /// Names what belongs to the server on the host.
        server: String,
        /// Owner of the data directory: where that was a server's user, it stays the same one if it can.
        owner: u32,
    },
    /// Start a helper; comes with its end of a socket, and is answered by `Started` or `Failed`.
    Start(Helper),
}

/// Steward to server: one for each request, in their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The server's host user.
    Ready {
        /// User and group.
        user: u32,
    },
    /// It runs.
    Started {
        /// For people; the steward collects its end.
        pid: i32,
    },
    /// It was not done.
    Failed {
        /// For people.
        reason: String,
    },
}
