//! Answers, before the request id is put on them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::mpsc;

/// What a face of the server answers.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: AnswerBody,
}

/// Bytes that are there, or come one after another.
pub(crate) enum AnswerBody {
    /// All of it; `None` once it has been sent.
    Whole(Option<Bytes>),
    /// As it comes, until the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
    /// As it comes; an error breaks the connection, so that what came looks as incomplete as it is.
    Breakable(mpsc::Receiver<Result<Bytes, BrokenAnswerError>>),
}

/// The rest of an answer that has begun will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenAnswerError;

impl Answer {
    /// An answer with a body of a type.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: AnswerBody::Whole(Some(body.into())),
        }
    }

    /// An answer in JSON.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: AnswerBody::Whole(None) }
    }

    /// Adds a header; a value that no header can carry is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            self.headers.push((name, value));
        }
        self
    }

    /// The HTTP answer, with its request id.
    pub(crate) fn into_response(self, request_id: &str) -> Response<AnswerBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        if let Ok(value) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert("x-amzn-requestid", value);
        }
        response
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenAnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(receiver) => {
                receiver.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Breakable(receiver) => {
                receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(_) | Self::Breakable(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) | Self::Breakable(_) => SizeHint::default(),
        }
    }
}
