//! Takes request bodies up to the limit, and measures the ones that pass it.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// A body that passes its limit is read on, and thrown away, up to this size: a client that is cut off while it sends
/// does not see the answer, and the error that the caller gets names the true size.
const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request body.
pub(super) enum Body {
    /// All of it.
    Whole(Bytes),
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
    let mut whole = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let Ok(data) = frame.into_data() else { continue };
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
    if size > limit { Body::TooLarge(size) } else { Body::Whole(whole.freeze()) }
}
