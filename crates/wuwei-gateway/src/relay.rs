//! The way back of functions: AWS's APIs for one instance, under the temporary credentials of its role.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::net::TcpStream;
use wuwei_model::{ExecutionRole, FunctionKey};

use crate::Gateway;
use crate::auth::RoleSession;
use crate::face::Door;
use crate::gateway::Parts;
use crate::server::Crowd;
use crate::wire::Budget;

/// Memory for the bodies that one instance may be sending at a time, in KiB: five of the largest.
const BODIES_KIB: u32 = 32 * 1024;

/// What the requests of one instance share.
pub(crate) struct Line {
    pub(crate) session: Arc<RoleSession>,
    /// What is being read of one instance never uses up the memory of others.
    pub(crate) bodies: Budget,
}

/// Makes the ways back of instances; does not keep the gateway alive.
#[derive(Clone)]
pub struct Relays(Weak<Parts>);

/// The way back of one instance. Its credentials are believed here and nowhere else, and not after this is dropped.
pub struct FunctionLine {
    gateway: Weak<Parts>,
    line: Arc<Line>,
}

impl Gateway {
    /// Where instances get their ways back.
    #[must_use]
    pub fn relays(&self) -> Relays {
        Relays(Arc::downgrade(&self.parts))
    }
}

impl Relays {
    /// Makes credentials for an instance of a function with this role, and the way on which they are good.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn open(&self, function: FunctionKey, role: ExecutionRole) -> io::Result<FunctionLine> {
        let session = RoleSession::begin(function, role, Instant::now()).map_err(io::Error::other)?;
        let line = Line { session: Arc::new(session), bodies: Budget::new(BODIES_KIB) };
        Ok(FunctionLine { gateway: self.0.clone(), line: Arc::new(line) })
    }
}

impl FunctionLine {
    /// The variables in which the instance finds its credentials.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        self.line.session.environment()
    }

    /// Serves one connection of the instance to its end; closes it at once when the gateway is gone.
    ///
    /// What was asked for before this future is dropped is still done, as for any caller who leaves.
    pub fn serve(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + use<> {
        let (gateway, door) = (self.gateway.clone(), Door::Relay(Arc::clone(&self.line)));
        async move {
            let Some(parts) = gateway.upgrade() else { return };
            // Not told when the server stops: the calls that still run need their own calls to end.
            crate::server::serve_connection(parts, door, stream, Crowd::guest(), std::future::pending()).await;
        }
    }
}
