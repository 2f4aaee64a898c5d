use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Server to keeper.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First message; answered by `Ready` or `Unable`.
    Setup {
        /// Where images are; on the disk that they may fill.
        directory: PathBuf,
    },
    /// Make an empty file system; answered by `Given` or `Failed`.
    Make {
        /// Chosen by the server.
        id: u64,
        /// What files may take.
        megabytes: u32,
    },
    /// Another mount of the file system whose mount comes with this; answered by `Given` or `Failed`.
    Mount {
        /// Chosen by the server.
        id: u64,
    },
    /// The file system whose mount comes with this is not needed any more. No answer.
    GiveUp,
}

/// Keeper to server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// Set up.
    Ready,
    /// Not set up; the keeper exits.
    Unable {
        /// What failed, for people.
        reason: String,
    },
    /// Comes with a mount that is attached nowhere.
    Given {
        /// Of the request.
        id: u64,
    },
    /// Not done; nothing is left of it.
    Failed {
        /// Of the request.
        id: u64,
        /// Step and cause, for people.
        reason: String,
    },
}
