//! Takes connections, a bounded number of them, and lets them finish when the server stops.

mod crowd;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Gateway;
use crate::face::{self, Door};
use crate::gateway::Parts;
use crate::wire::HEAD_BYTES_MAX;
use crowd::BusyBody;
pub(crate) use crowd::{Crowd, Member};

/// Connections at a time. For more, idle ones are closed; when none is idle, they wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 4_096;
/// Time that a client has for the head of its first request.
const FIRST_HEAD_MAX: Duration = Duration::from_secs(10);
/// Time that a client has for the head of a later request, idle time between two requests included.
const HEAD_MAX: Duration = Duration::from_secs(60);
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
        let crowd = Crowd::new(CONNECTIONS_MAX);
        let mut connections = JoinSet::new();
        // A connection for which there is no room yet.
        let mut newcomer = None;
        loop {
            let next = async {
                match newcomer {
                    None => Next::Newcomer(listener.accept().await),
                    Some(_) => Next::Room(crowd.join().await),
                }
            };
            let next = tokio::select! {
                () = &mut shutdown => break,
                Some(_finished) = connections.join_next(), if !connections.is_empty() => continue,
                next = next => next,
            };
            match next {
                Next::Newcomer(Ok(accepted)) => newcomer = Some(accepted),
                Next::Newcomer(Err(error)) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Next::Room(member) => {
                    let Some((stream, peer)) = newcomer.take() else { continue };
                    let parts = Arc::clone(&self.parts);
                    connections.spawn(async move {
                        let mut stopping = parts.stopping.subscribe();
                        let stop = async move {
                            // An error means that the gateway is gone: time to stop too.
                            drop(stopping.wait_for(|stop| *stop).await);
                        };
                        serve_connection(parts, Door::Public(peer), stream, member, stop).await;
                    });
                }
            }
        }
        drop(listener);
        self.parts.stopping.send_replace(true);
        while connections.join_next().await.is_some() {}
        self.parts.tasks.join().await;
    }
}

/// What the listener waits for.
enum Next {
    Newcomer(io::Result<(TcpStream, SocketAddr)>),
    Room(Arc<Member>),
}

/// Serves one connection until the client closes it, it has to make room, or, after `stop`, until its request is
/// answered.
pub(crate) async fn serve_connection(
    parts: Arc<Parts>,
    door: Door,
    stream: TcpStream,
    member: Arc<Member>,
    stop: impl Future<Output = ()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
    let _open = OpenConnection::count(&parts);
    let service = service_fn(|request| {
        let busy = member.begin();
        let answer = face::respond(Arc::clone(&parts), door.clone(), request);
        async { Ok::<_, Infallible>(answer.await.map(|body| BusyBody { body, _busy: busy })) }
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
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let outcome = tokio::select! {
        // A request that is there already is served before anything else is looked at.
        biased;
        outcome = connection.as_mut() => Some(outcome),
        () = member.must_leave() => {
            tracing::debug!("closed an idle connection to make room");
            return;
        }
        () = says_nothing(&door, &member) => {
            tracing::debug!("closed a connection without a request");
            return;
        }
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

/// Completes when the first head has not come in time.
async fn says_nothing(door: &Door, member: &Member) {
    match door {
        Door::Public(_) => tokio::time::sleep(FIRST_HEAD_MAX).await,
        Door::Relay(_) => std::future::pending().await,
    }
    if member.has_asked() {
        std::future::pending::<()>().await;
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
