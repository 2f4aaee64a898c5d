//! Takes request bodies: whole ones up to the limit, measuring the ones that pass it, or part by part.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::stream::{StreamPart, StreamSink};

/// A body that passes its limit is read on, and thrown away, up to this size: a client that is cut off while it sends
/// does not see the answer, and the error that the caller gets names the true size.
const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request body.
pub(super) enum Body {
    /// All of it, and the headers that came after it.
    Whole(Bytes, HeaderMap),
    /// It passes the limit; its size in bytes, or what was read of it.
    TooLarge(u64),
    /// The client went away or broke HTTP.
    Broken,
}

/// Reads a body of known or unknown (chunked) length.
pub(super) async fn read(mut incoming: Incoming, limit: usize) -> Body {
    let limit = limit as u64;
    if let Some(length) = incoming.size_hint().exact()
        && length > DISCARD_BYTES_MAX
    {
        return Body::TooLarge(length);
    }
    let (mut whole, mut trailers) = (BytesMut::new(), HeaderMap::new());
    let mut size = 0;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers = other.into_trailers().unwrap_or_default();
                continue;
            }
        };
        size += data.len() as u64;
        if size > DISCARD_BYTES_MAX {
            return Body::TooLarge(size);
        }
        if size > limit {
            whole = BytesMut::new();
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if size > limit { Body::TooLarge(size) } else { Body::Whole(whole.freeze(), trailers) }
}

/// Passes a body on as it comes. The headers after it, or nothing when it broke off.
pub(super) async fn forward(mut incoming: Incoming, sink: &StreamSink) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    while let Some(frame) = incoming.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => sink.send(StreamPart::Chunk(data)).await,
            Err(other) => trailers = other.into_trailers().unwrap_or_default(),
        }
    }
    Some(trailers)
}
