use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Server to filler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First message; answered by `Ready` or `Unable`.
    Setup {
        /// Names what belongs to this server on the host.
        server: String,
    },
    /// Build a network with a policy (never `none`); answered by `Provided` or `Failed`.
    Provide {
        /// Chosen by the server.
        id: u64,
        /// In its text form.
        policy: String,
    },
    /// Open what a name of a list stands for; answered by `Admitted` or `Failed`.
    Admit {
        /// Chosen by the server.
        id: u64,
        /// In its text form.
        policy: String,
        /// What the name stands for.
        addresses: Vec<IpAddr>,
        /// Ports of the name.
        ports: Vec<u16>,
        /// For how long.
        seconds: u32,
    },
}

/// Filler to server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// Set up. Comes with the sockets on which sandboxes ask for names: UDP, then TCP.
    Ready,
    /// Not set up; the filler exits.
    Unable {
        /// What failed, for people.
        reason: String,
    },
    /// A network stands; comes with its namespace.
    Provided {
        /// Of the request.
        id: u64,
        /// The sandbox's own address.
        address: Ipv4Addr,
    },
    /// Done.
    Admitted {
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
