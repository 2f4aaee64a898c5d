//! The Lambda Runtime API (`2018-06-01`) for one instance of a custom runtime.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>, and AWS's open-source runtime interface
//! emulator for the states and the error bodies.

use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::instance::Invocation;

use exchange::Exchange;

mod body;
pub(crate) mod document;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod requests;
mod responses;
mod server;
#[cfg(test)]
mod tests;

/// What a custom runtime answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The body of `/response`.
    Success(Bytes),
    /// The body of `/error`.
    Error(Bytes),
    /// The answer went to the invocation's sink, part by part; the error document when it ended with one.
    Streamed(Option<Bytes>),
    /// A streamed answer that broke off.
    Truncated {
        /// Whether its parts went to the invocation's sink.
        streamed: bool,
    },
    /// A body that passes the limit; its size in bytes.
    TooLarge(u64),
    /// There was no runtime to hand the event to, or one is busy with another event.
    NotReady,
}

/// The server for one instance. Dropping it closes the listener and all connections.
pub(crate) struct RuntimeApi {
    exchange: Arc<Exchange>,
    connections: watch::Receiver<usize>,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Starts to serve; needs a tokio runtime.
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let exchange = Arc::new(Exchange::default());
        let (count, connections) = watch::channel(0);
        let server = tokio::spawn(server::serve(listener, Arc::clone(&exchange), count)).abort_handle();
        Self { exchange, connections, server }
    }

    /// Waits for the runtime's first request for an event, or for the error document of its initialisation.
    pub(crate) async fn initialised(&self) -> Result<(), Bytes> {
        self.exchange.initialised().await
    }

    /// Hands an event to the runtime at once; the future gives its answer.
    pub(crate) fn offer(&self, invocation: Invocation) -> impl Future<Output = Answered> + use<> {
        let answer = self.exchange.offer(invocation);
        async move { answer.await.unwrap_or(Answered::NotReady) }
    }

    /// Takes back an event that the runtime has not picked up.
    pub(crate) fn withdraw(&self) -> Option<Invocation> {
        self.exchange.withdraw()
    }

    /// Waits until the runtime that has answered asks for another event.
    pub(crate) async fn asked(&self) {
        self.exchange.asked().await;
    }

    /// Waits for `answer` as long as there are connections that may still bring it: for a process that has ended.
    pub(crate) async fn last_word<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let mut connections = self.connections.clone();
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            _ = connections.wait_for(|count| *count == 0) => None,
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}
