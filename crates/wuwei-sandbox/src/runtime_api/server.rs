//! The connections of the Runtime API.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::exchange::Exchange;
use super::requests;

/// Connections of one instance; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// Request line and headers of one request. There is no time limit on them: an instance may be frozen for hours in the
/// middle of a request, and with so few connections a slow client takes nothing from others.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Something that may still bring an answer: an open connection, or a request whose body is being read.
pub(super) struct Active(Arc<watch::Sender<usize>>);

impl Active {
    pub(super) fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }

    fn another(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Accepts connections until it is aborted; `count` is how many sources of an answer there are.
pub(super) async fn serve(listener: TcpListener, exchange: Arc<Exchange>, count: watch::Sender<usize>) {
    let count = Arc::new(count);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "set TCP_NODELAY on a connection to the runtime API");
                    }
                    connections.spawn(serve_connection(stream, Arc::clone(&exchange), Active::new(&count)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection to the runtime API");
                    // Out of descriptors, most likely: others must run before it can go better.
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    exchange: Arc<Exchange>,
    active: Active,
) {
    let service = service_fn(|request| requests::handle(Arc::clone(&exchange), request, active.another()));
    let connection =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = connection {
        tracing::debug!(%error, "connection to the runtime API");
    }
}
