//! The way back: a listener inside each sandbox, through which its function calls the platform that runs it.
//!
//! The sandbox makes the listener, takes its connections and ends them with the instance. What is said on them is the
//! business of a [`RelayService`], which knows the API and whom to believe.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use wuwei_model::{ExecutionRole, FunctionKey};

use crate::instance::ProcessExit;
use crate::runtimes::race::exit_of;

#[cfg(test)]
mod tests;

/// Connections of one instance; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// Where every AWS SDK looks for the endpoint to call.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL";

/// For whom an instance runs: what its calls are made as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// Its function.
    pub function: FunctionKey,
    /// The function's execution role.
    pub role: ExecutionRole,
}

/// Opens ways back.
pub trait RelayService: Send + Sync {
    /// Opens one for an instance that is about to start.
    ///
    /// # Errors
    /// When the platform cannot give it credentials; the instance is not started then.
    fn open(&self, identity: &InstanceIdentity) -> io::Result<Arc<dyn Relay>>;
}

/// The way back of one instance. Its credentials are worth nothing once this is dropped.
#[async_trait]
pub trait Relay: Send + Sync {
    /// Variables that the function signs its calls with.
    fn environment(&self) -> Vec<(String, String)>;
    /// Serves one connection to its end; dropping the future closes it.
    async fn serve(&self, stream: TcpStream);
}

/// Tells the function of its way back. An endpoint that the function's own configuration names stands.
pub(crate) fn announce(environment: &mut Vec<(String, String)>, relay: &dyn Relay, address: &str) {
    environment.extend(relay.environment());
    if !environment.iter().any(|(name, _)| name == ENDPOINT_VARIABLE) {
        environment.push((ENDPOINT_VARIABLE.to_owned(), format!("http://{address}")));
    }
}

/// Takes the connections of one instance. Dropping it closes the listener, all connections and the relay.
pub(crate) struct RelayServer(AbortHandle);

impl RelayServer {
    /// Starts to take connections, until the instance's process has ended.
    pub(crate) fn start(
        listener: TcpListener,
        relay: Arc<dyn Relay>,
        mut exit: watch::Receiver<Option<ProcessExit>>,
    ) -> Self {
        let server = tokio::spawn(async move {
            tokio::select! {
                _exit = exit_of(&mut exit) => {}
                () = accept(listener, relay) => {}
            }
        });
        Self(server.abort_handle())
    }
}

impl Drop for RelayServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, relay: Arc<dyn Relay>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _peer)) => {
                    let relay = Arc::clone(&relay);
                    connections.spawn(async move { relay.serve(stream).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection to a relay");
                    // Out of descriptors, most likely: others must run before it can go better.
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}
