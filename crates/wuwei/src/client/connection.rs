use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::locate::Target;
use crate::failure::{Exit, Failure};

/// A server on this machine answers at once; elsewhere, 5 s is long.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Sends one request on a connection of its own and gives the head of the answer.
pub(super) async fn exchange(target: &Target, request: Request<Bytes>) -> Result<Response<Incoming>, Failure> {
    let connecting = TcpStream::connect(target.address());
    let stream = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => connected.map_err(|error| target.unreachable().because(error))?,
        Err(elapsed) => return Err(target.unreachable().because(elapsed)),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| target.unreachable().because(error))?;
    // Ends when the response body has been read or dropped; its error reaches the reader of the body too.
    tokio::spawn(connection);
    sender.send_request(request.map(Full::new)).await.map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot speak HTTP with `{}`", target.endpoint()))
            .because(error)
            .hint("check that a wuwei server listens there")
    })
}
