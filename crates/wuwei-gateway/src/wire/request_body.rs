//! The body of a request: read with a limit and in bounded time, or thrown away.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::time::timeout;

/// Longest silence of a client in the middle of its body.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest time that a whole body may take.
const BODY_MAX: Duration = Duration::from_secs(300);
/// How much of an unwanted body is taken before the answer, so that clients which write first and read later see it.
const DISCARD_MAX_BYTES: usize = 80 * 1024 * 1024;
const DISCARD_MAX: Duration = Duration::from_secs(20);

/// Why a body could not be read.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// Larger than the operation takes.
    #[error("body exceeds {0} bytes")]
    TooLarge(usize),
    /// The client was too slow.
    #[error("body did not arrive in time")]
    Slow,
    /// Too many large bodies are being read or held.
    #[error("too many large bodies at a time")]
    Busy,
    /// The connection broke.
    #[error("body broke off")]
    Broken(#[source] hyper::Error),
}

/// A body that has been read.
pub(crate) struct ReceivedBody {
    pub(crate) bytes: Bytes,
    /// SHA-256 in hexadecimal, when it was wanted.
    pub(crate) hash: Option<String>,
}

/// A body that has not been read.
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    /// The client waits for leave to send it (`Expect: 100-continue`): reading gives leave.
    waits_for_leave: bool,
}

impl RequestBody {
    /// Takes the body of a request with these headers.
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        let expect = headers.get(http::header::EXPECT).map(http::HeaderValue::as_bytes);
        let waits_for_leave = expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        Self { incoming: Some(incoming), waits_for_leave }
    }

    /// Declared length in bytes, when there is one.
    pub(crate) fn declared_length(&self) -> Option<u64> {
        self.incoming.as_ref().and_then(|incoming| incoming.size_hint().exact())
    }

    /// Reads all of it; at most `limit` bytes. What is too large stays to be discarded.
    pub(crate) async fn read(&mut self, limit: usize, with_hash: bool) -> Result<ReceivedBody, BodyError> {
        let declared = self.declared_length();
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge(limit));
        }
        let result = timeout(BODY_MAX, self.collect(limit, with_hash)).await.unwrap_or(Err(BodyError::Slow));
        if !matches!(result, Err(BodyError::TooLarge(_))) {
            self.incoming = None;
        }
        result
    }

    async fn collect(&mut self, limit: usize, with_hash: bool) -> Result<ReceivedBody, BodyError> {
        let mut bytes = BytesMut::new();
        let mut hasher = with_hash.then(Sha256::new);
        if let Some(incoming) = self.incoming.as_mut() {
            loop {
                let frame = match timeout(SILENCE_MAX, incoming.frame()).await {
                    Ok(Some(frame)) => frame.map_err(BodyError::Broken)?,
                    Ok(None) => break,
                    Err(_elapsed) => return Err(BodyError::Slow),
                };
                // Trailers carry nothing that we use.
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > limit {
                    return Err(BodyError::TooLarge(limit));
                }
                if let Some(hasher) = hasher.as_mut() {
                    hasher.update(&data);
                }
                bytes.extend_from_slice(&data);
            }
        }
        let hash = hasher.map(|hasher| hex::encode(hasher.finalize()));
        Ok(ReceivedBody { bytes: bytes.freeze(), hash })
    }

    /// Throws away what has not been read, so that the client comes to read the answer.
    pub(crate) async fn discard(mut self) {
        let Some(mut incoming) = self.incoming.take() else { return };
        if self.waits_for_leave || incoming.is_end_stream() {
            return;
        }
        let drain = async {
            let mut total = 0;
            while let Some(Ok(frame)) = incoming.frame().await {
                total += frame.data_ref().map_or(0, Bytes::len);
                if total > DISCARD_MAX_BYTES {
                    break;
                }
            }
        };
        if timeout(DISCARD_MAX, drain).await.is_err() {
            tracing::debug!("gave up on the rest of a request's body");
        }
    }
}
