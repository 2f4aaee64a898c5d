//! From the parts of a streamed answer to HTTP: first the head, then a body of chunks.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use wuwei_engine::StreamPart;

use super::super::{refusal, result};
use crate::streaming::{Assemble, BodySender, CHUNKS_WAITING, Ending, break_off, send};
use crate::wire::{Answer, AnswerBody};

/// Content type of an answer that begins with its own status and headers.
const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";
/// Content type of an answer whose function names none.
const UNNAMED: &str = "application/octet-stream";
/// Ends the prelude.
const DELIMITER: [u8; 8] = [0; 8];
/// Longest prelude, in bytes.
const PRELUDE_BYTES_MAX: usize = 256 * 1024;
/// An answer in the making.
pub(super) struct Assembly {
    content_type: Option<String>,
    state: AssemblyState,
}

/// What is still to be done.
enum AssemblyState {
    /// To send the head, once it is known; what has come of the prelude.
    Head(oneshot::Sender<Answer>, BytesMut),
    /// To send the body.
    Body(BodySender),
    /// Nothing: the caller has left, or has got an error.
    Over,
}

impl Assembly {
    /// An answer whose head goes to `head`.
    pub(super) fn new(head: oneshot::Sender<Answer>) -> Self {
        Self { content_type: None, state: AssemblyState::Head(head, BytesMut::new()) }
    }

    async fn take_chunk(&mut self, chunk: Bytes) {
        self.state = match std::mem::replace(&mut self.state, AssemblyState::Over) {
            AssemblyState::Head(head, _) if !self.has_prelude() => match start(head, self.plain_head()) {
                AssemblyState::Body(body) => write(body, chunk).await,
                over @ (AssemblyState::Over | AssemblyState::Head(..)) => over,
            },
            AssemblyState::Head(head, mut prelude) => {
                prelude.extend_from_slice(&chunk);
                match split_prelude(&prelude) {
                    Prelude::Incomplete => AssemblyState::Head(head, prelude),
                    Prelude::Invalid => refuse(head),
                    Prelude::Complete(answer, length) => match start(head, answer) {
                        AssemblyState::Body(body) => write(body, prelude.split_off(length).freeze()).await,
                        over @ (AssemblyState::Over | AssemblyState::Head(..)) => over,
                    },
                }
            }
            AssemblyState::Body(body) => write(body, chunk).await,
            AssemblyState::Over => AssemblyState::Over,
        };
    }

    fn has_prelude(&self) -> bool {
        let media_type = self.content_type.as_deref().and_then(|text| text.split(';').next());
        media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case(WITH_PRELUDE))
    }

    /// 200 with the function's content type.
    fn plain_head(&self) -> Answer {
        let named = self.content_type.as_deref().filter(|_| !self.has_prelude());
        let value = named.and_then(|text| HeaderValue::from_str(text).ok());
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.push((header::CONTENT_TYPE, value.unwrap_or(HeaderValue::from_static(UNNAMED))));
        answer
    }
}

impl Assemble for Assembly {
    async fn take(&mut self, part: StreamPart) {
        match part {
            StreamPart::ContentType(content_type) => self.content_type = Some(content_type),
            StreamPart::Chunk(chunk) => self.take_chunk(chunk).await,
        }
    }

    /// Ends the answer: with the head, if it has not gone out yet.
    async fn end(mut self, ending: Ending) {
        let end = End::of(ending);
        match (std::mem::replace(&mut self.state, AssemblyState::Over), end) {
            // A function that does not stream: its result is the body as it is, in this mode.
            (AssemblyState::Head(head, _), End::Complete(payload)) if self.content_type.is_none() => {
                let content_type = if payload.is_empty() { UNNAMED } else { "application/json" };
                answer(head, Answer::new(StatusCode::OK, content_type, payload));
            }
            (AssemblyState::Head(head, prelude), End::Complete(payload)) => {
                let is_empty = prelude.is_empty() && payload.is_empty();
                if self.has_prelude() && !is_empty {
                    answer(head, refusal::bad_gateway());
                } else {
                    let mut plain = self.plain_head();
                    plain.body = AnswerBody::Whole(Some(payload));
                    answer(head, plain);
                }
            }
            (AssemblyState::Head(head, _), End::Failed(refused)) => answer(head, refused),
            (AssemblyState::Body(body), End::Failed(_)) => break_off(body).await,
            (AssemblyState::Body(_), End::Complete(_)) | (AssemblyState::Over, _) => {}
        }
    }
}

/// How a function ended.
enum End {
    /// Well; with its result, when it did not write it in parts.
    Complete(Bytes),
    /// Not well; with the answer for a caller who has heard nothing yet.
    Failed(Answer),
}

impl End {
    fn of(ending: Ending) -> Self {
        match ending {
            Ending::Ran(outcome) if outcome.function_error.is_none() => Self::Complete(outcome.payload),
            Ending::Ran(_) | Ending::TooLarge(_) => Self::Failed(refusal::bad_gateway()),
            Ending::NotRun(error) => Self::Failed(refusal::not_run(&error)),
        }
    }
}

/// What has come of a prelude.
enum Prelude {
    /// No delimiter yet.
    Incomplete,
    /// No JSON object, or no head in it, or too long.
    Invalid,
    /// The head, and the length of prelude and delimiter.
    Complete(Answer, usize),
}

fn split_prelude(bytes: &[u8]) -> Prelude {
    let Some(length) = bytes.windows(DELIMITER.len()).position(|window| window == DELIMITER) else {
        return if bytes.len() > PRELUDE_BYTES_MAX { Prelude::Invalid } else { Prelude::Incomplete };
    };
    let members = bytes.get(..length).and_then(|text| serde_json::from_slice::<Value>(text).ok());
    let head = members.as_ref().and_then(Value::as_object).and_then(|members| result::head(members, UNNAMED));
    head.map_or(Prelude::Invalid, |head| Prelude::Complete(head, length + DELIMITER.len()))
}

/// Sends the head of an answer whose body follows.
fn start(head: oneshot::Sender<Answer>, mut answer: Answer) -> AssemblyState {
    let (body, pieces) = mpsc::channel(CHUNKS_WAITING);
    answer.body = AnswerBody::Breakable(pieces);
    if head.send(answer).is_ok() { AssemblyState::Body(body) } else { AssemblyState::Over }
}

fn refuse(head: oneshot::Sender<Answer>) -> AssemblyState {
    answer(head, refusal::bad_gateway());
    AssemblyState::Over
}

fn answer(head: oneshot::Sender<Answer>, whole: Answer) {
    if head.send(whole).is_err() {
        tracing::debug!("a caller left before the head of its answer");
    }
}

async fn write(body: BodySender, chunk: Bytes) -> AssemblyState {
    send(body, chunk).await.map_or(AssemblyState::Over, AssemblyState::Body)
}
