//! Takes connections, a bounded number of them, and lets them finish when the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Gateway;
use crate::face::{self, Door};
use crate::gateway::Parts;

/// Connections at a time; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 4_096;
/// Time that a client has for the head of a request, idle time between two requests included.
const HEAD_MAX: Duration = Duration::from_secs(60);
/// Largest head of a request, in bytes; also the size of reads.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 128;
/// Pause after the system could not give us a connection (no descriptors left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Gateway {
    /// Serves until `shutdown` completes, then lets running requests finish.
    ///
    /// Bounded by nothing but the requests themselves: a caller with less patience drops the future, which closes the
    /// connections that are left.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accept = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = &mut shutdown => break,
                Some(_finished) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let parts = Arc::clone(&self.parts);
                    connections.spawn(async move {
                        let mut stopping = parts.stopping.subscribe();
                        let stop = async move {
                            // An error means that the gateway is gone: time to stop too.
                            drop(stopping.wait_for(|stop| *stop).await);
                        };
                        serve_connection(parts, Door::Public(peer), stream, stop).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.parts.stopping.send_replace(true);
        while connections.join_next().await.is_some() {}
        self.parts.tasks.join().await;
    }
}

/// Serves one connection until the client closes it, or, after `stop`, until its request is answered.
pub(crate) async fn serve_connection(parts: Arc<Parts>, door: Door, stream: TcpStream, stop: impl Future<Output = ()>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
    let _open = OpenConnection::count(&parts);
    let service = service_fn(|request| async {
        Ok::<_, Infallible>(face::respond(Arc::clone(&parts), door.clone(), request).await)
    });
    let head_max = match &door {
        Door::Public(_) => Some(HEAD_MAX),
        // A function may be frozen for hours between two requests, or in the middle of one. It has few connections, so
        // that a slow one takes nothing from others.
        Door::Relay(_) => None,
    };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_max)
            .max_buf_size(HEAD_MAX_BYTES)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => Some(outcome),
        () = stop => None,
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

/// Counts a connection for as long as it is open, also when its task is ended from outside.
struct OpenConnection<'parts>(&'parts AtomicU64);

impl<'parts> OpenConnection<'parts> {
    fn count(parts: &'parts Parts) -> Self {
        let open = &parts.counters.connections;
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
