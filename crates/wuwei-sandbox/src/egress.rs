//! What functions reach: networks of sandboxes, made by a filler and joined by a router of the server's own.
//!
//! A sandbox's network has one link, to the router's namespace; the router's packet filter knows each link's policy, and
//! its one link to the host. Neither is in reach of a function: it has no privilege over its own network.

mod client;
mod filler;
mod host_network;
mod names;
mod netlink;
mod packet_filter;
mod plan;
mod protocol;
mod registry;
mod ruleset;

use std::io;
use std::sync::Arc;

use wuwei_model::EgressPolicy;

pub(crate) use client::{FillerClient, FillerOptions, Network};
pub use filler::run_filler;
#[cfg(any(test, feature = "fuzzing"))]
pub use names::fuzzing::egress_names;
#[cfg(test)]
pub(crate) use plan::ROUTER;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use protocol::{Event as FillerEvent, Request as FillerRequest};
pub(crate) use registry::Lease;

/// What functions may reach, and how networks for that are made.
#[derive(Clone, Debug)]
pub struct EgressOptions {
    /// Arguments of a filler, where the program is the launcher's; without them all functions have `none`.
    pub filler_arguments: Option<Vec<String>>,
    /// For functions that have no policy of their own.
    pub default: EgressPolicy,
}

/// Makes networks, where the host lets it.
pub(crate) struct Egress {
    default: EgressPolicy,
    /// Or why there is none.
    filler: Result<Arc<FillerClient>, String>,
}

impl Egress {
    /// Starts the filler. Where that fails every function has the policy `none`.
    pub(crate) async fn start(default: EgressPolicy, filler: Option<FillerOptions>) -> Self {
        let filler = match filler {
            Some(options) => FillerClient::start(options).await,
            None => Err("not asked for".to_owned()),
        };
        Self { default, filler }
    }

    /// Why functions have no network, whatever their policy says.
    pub(crate) fn lack(&self) -> Option<&str> {
        self.filler.as_ref().err().map(String::as_str)
    }

    /// What a function with this policy (the default without one) really has.
    pub(crate) fn policy<'policy>(&'policy self, policy: Option<&'policy EgressPolicy>) -> &'policy EgressPolicy {
        match self.filler {
            Ok(_) => policy.unwrap_or(&self.default),
            Err(_) => &EgressPolicy::None,
        }
    }

    /// A network for a function with this policy (the default without one); none where it shall not have any.
    pub(crate) async fn network(&self, policy: Option<&EgressPolicy>) -> io::Result<Option<Network>> {
        let policy = policy.unwrap_or(&self.default);
        match (policy, &self.filler) {
            (EgressPolicy::None, _) | (_, Err(_)) => Ok(None),
            (EgressPolicy::Internet | EgressPolicy::Allow(_), Ok(filler)) => filler.network(policy).await.map(Some),
        }
    }

    /// Ends the filler, which removes what it made on the host.
    pub(crate) async fn shut_down(&self) {
        if let Ok(filler) = &self.filler {
            filler.shut_down().await;
        }
    }
}
