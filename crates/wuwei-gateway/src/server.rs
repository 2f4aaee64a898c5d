//! Takes connections, a bounded number of them, and lets them finish when the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Gateway;
use crate::face;

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
                Ok((stream, _peer)) => {
                    let gateway = self.clone();
                    connections.spawn(async move {
                        gateway.connection(stream).await;
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

    async fn connection(&self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        let counters = &self.parts.counters;
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(face::respond(Arc::clone(&self.parts), request).await) });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .max_buf_size(HEAD_MAX_BYTES)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service)
        );
        let mut stopping = self.parts.stopping.subscribe();
        let stop = async {
            // An error means that the gateway is gone: time to stop too.
            stopping.wait_for(|stop| *stop).await.is_ok()
        };
        let outcome = tokio::select! {
            outcome = connection.as_mut() => Some(outcome),
            _stop = stop => None,
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
        counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
