use bytes::{Bytes, BytesMut};

use crate::defence::{Defence, stands};
use crate::frames::{Answer, AnswerKind, DOCUMENT_BYTES_MAX, FrameError};
use crate::instance::Invocation;
use crate::stream::{StreamPart, StreamSink};

/// What became of a streamed answer's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Streamed {
    /// The caller has them already.
    PassedOn,
    /// The caller wanted no stream: here they are as one.
    Collected(Bytes),
}

/// Takes the frames of one answer: passes the parts of a streamed one on, or collects them.
#[derive(Default)]
pub(super) struct Parts<'invocation> {
    request_id: &'invocation str,
    sink: Option<&'invocation StreamSink>,
    has_begun: bool,
    /// On its way to the sink; stays here when the hand-over is cancelled.
    unsent: Option<StreamPart>,
    collected: BytesMut,
}

impl<'invocation> Parts<'invocation> {
    /// For the answer to an invocation, or to the question whether the runtime is ready.
    pub(super) fn of(invocation: Option<&'invocation Invocation>) -> Self {
        let Some(invocation) = invocation else { return Self::default() };
        Self { request_id: invocation.id.as_str(), sink: invocation.stream.as_ref(), ..Self::default() }
    }

    /// Takes a frame; gives it back when it ends the answer. Loses nothing when cancelled, if
    /// [`Parts::finish_sending`] follows.
    ///
    /// # Errors
    /// [`FrameError::Foreign`], [`FrameError::OutOfPlace`], and [`FrameError::TooLarge`] for what is collected.
    pub(super) async fn take(&mut self, answer: Answer) -> Result<Option<Answer>, FrameError> {
        if answer.request_id != self.request_id.as_bytes() && stands(Defence::RequestIds) {
            return Err(FrameError::Foreign);
        }
        let part = match answer.kind {
            AnswerKind::Ready
            | AnswerKind::InitError
            | AnswerKind::Success
            | AnswerKind::Error
            | AnswerKind::LastWords => return Ok(Some(answer)),
            AnswerKind::ContentType if self.has_begun => return Err(FrameError::OutOfPlace),
            AnswerKind::ContentType => StreamPart::ContentType(String::from_utf8_lossy(&answer.document).into_owned()),
            AnswerKind::Chunk if !self.has_begun => return Err(FrameError::OutOfPlace),
            AnswerKind::Chunk => StreamPart::Chunk(answer.document),
        };
        // Before the first event there is no answer that could be streamed.
        if self.request_id.is_empty() {
            return Err(FrameError::OutOfPlace);
        }
        self.has_begun = true;
        match (self.sink, part) {
            (Some(_), part) => {
                self.unsent = Some(part);
                self.finish_sending().await;
            }
            (None, StreamPart::ContentType(_)) => {}
            (None, StreamPart::Chunk(chunk)) => self.collect(&chunk)?,
        }
        Ok(None)
    }

    /// Hands over the part whose hand-over was cancelled, if there is one.
    pub(super) async fn finish_sending(&mut self) {
        if let (Some(sink), Some(part)) = (self.sink, self.unsent.as_ref()) {
            sink.send(part.clone()).await;
            self.unsent = None;
        }
    }

    /// What became of the parts; `None` when the answer was not streamed.
    pub(super) fn into_streamed(self) -> Option<Streamed> {
        let collected = self.collected.freeze();
        let streamed = if self.sink.is_some() { Streamed::PassedOn } else { Streamed::Collected(collected) };
        self.has_begun.then_some(streamed)
    }

    fn collect(&mut self, chunk: &[u8]) -> Result<(), FrameError> {
        let bytes = self.collected.len() + chunk.len();
        if bytes > DOCUMENT_BYTES_MAX {
            return Err(FrameError::TooLarge(bytes as u64));
        }
        self.collected.extend_from_slice(chunk);
        Ok(())
    }
}
