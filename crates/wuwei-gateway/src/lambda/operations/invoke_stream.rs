//! `InvokeWithResponseStream`: the answer as an event stream, while the function still writes it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use wuwei_engine::{Answer as Outcome, InvokeError, StreamPart, StreamSink};
use wuwei_model::limits::STREAMED_RESPONSE_BYTES_MAX;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::event_stream::{CONTENT_TYPE, event};
use super::invoke;
use crate::streaming::{Assemble, BodySender, CHUNKS_WAITING, Ending, pump, send};
use crate::wire::{Answer, AnswerBody};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let Some((version, mut engine_call)) = invoke::prepare(call).await? else {
        return Ok(Reply::Empty(StatusCode::NO_CONTENT));
    };
    let (sink, source) = StreamSink::channel();
    engine_call.stream = Some(sink);
    let (head, answered) = oneshot::channel();
    let assembly = Events {
        executed_version: version.version.to_string(),
        with_log: invoke::wants_log(call),
        state: EventsState::Head(head),
    };
    let (engine, running) = (call.parts.engine.clone(), Arc::clone(&version));
    call.parts.tasks.spawn(async move {
        pump(engine.invoke(running, engine_call), source, assembly).await;
    });
    // Without a head the pump has panicked, which is counted and logged where tasks are.
    match answered.await.map_err(|_gone| ApiError::internal())? {
        Ok(answer) => Ok(Reply::Answer(answer)),
        Err(error) => Err(invoke::refusal(call, &version, &error)),
    }
}

/// An answer in the making.
struct Events {
    executed_version: String,
    with_log: bool,
    state: EventsState,
}

/// What is still to be done.
enum EventsState {
    /// To send the head: nothing has come yet.
    Head(oneshot::Sender<Result<Answer, InvokeError>>),
    /// To send events.
    Body(BodySender),
    /// Nothing: the caller has left, or has got an error.
    Over,
}

impl Assemble for Events {
    async fn take(&mut self, part: StreamPart) {
        match part {
            // Of an answer through a URL; this one's type is that of event streams.
            StreamPart::ContentType(_) => self.start(),
            StreamPart::Chunk(chunk) => self.chunk(&chunk).await,
        }
    }

    async fn end(mut self, ending: Ending) {
        let complete = match ending {
            Ending::NotRun(error) => {
                match std::mem::replace(&mut self.state, EventsState::Over) {
                    EventsState::Head(head) => {
                        if head.send(Err(error)).is_err() {
                            tracing::debug!("a caller left before the head of its answer");
                        }
                        return;
                    }
                    state @ (EventsState::Body(_) | EventsState::Over) => self.state = state,
                }
                failure("ServiceException", &error.to_string())
            }
            Ending::TooLarge(outcome) => {
                let text = format!(
                    "Response payload size exceeded maximum allowed payload size ({STREAMED_RESPONSE_BYTES_MAX} bytes)."
                );
                let document = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": text });
                self.with_log(failure("Function.ResponseSizeTooLarge", &document.to_string()), &outcome)
            }
            Ending::Ran(outcome) if outcome.function_error.is_some() => {
                let details = String::from_utf8_lossy(&outcome.payload);
                self.with_log(failure(&error_type(&outcome.payload), &details), &outcome)
            }
            Ending::Ran(outcome) => {
                // What a function that does not write in parts has answered; nothing, if it does.
                self.chunk(&outcome.payload).await;
                self.with_log(Map::new(), &outcome)
            }
        };
        let document = Value::Object(complete).to_string();
        self.write(event("InvokeComplete", "application/json", document.as_bytes())).await;
    }
}

impl Events {
    async fn chunk(&mut self, chunk: &Bytes) {
        if !chunk.is_empty() {
            self.write(event("PayloadChunk", "application/octet-stream", chunk)).await;
        }
    }

    async fn write(&mut self, frame: Bytes) {
        self.start();
        self.state = match std::mem::replace(&mut self.state, EventsState::Over) {
            EventsState::Body(body) => send(body, frame).await.map_or(EventsState::Over, EventsState::Body),
            other @ (EventsState::Head(_) | EventsState::Over) => other,
        };
    }

    /// Sends the head, if that is still to be done.
    fn start(&mut self) {
        self.state = match std::mem::replace(&mut self.state, EventsState::Over) {
            EventsState::Head(head) => {
                let (body, pieces) = mpsc::channel(CHUNKS_WAITING);
                let mut answer = Answer::empty(StatusCode::OK).with("x-amz-executed-version", &self.executed_version);
                answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE)));
                answer.body = AnswerBody::Breakable(pieces);
                if head.send(Ok(answer)).is_ok() { EventsState::Body(body) } else { EventsState::Over }
            }
            other @ (EventsState::Body(_) | EventsState::Over) => other,
        };
    }

    fn with_log(&self, mut members: Map<String, Value>, outcome: &Outcome) -> Map<String, Value> {
        if self.with_log {
            members.insert("LogResult".to_owned(), STANDARD.encode(&outcome.log_tail).into());
        }
        members
    }
}

fn failure(code: &str, details: &str) -> Map<String, Value> {
    Map::from_iter([("ErrorCode".to_owned(), code.into()), ("ErrorDetails".to_owned(), details.into())])
}

/// What an error document says that it is about.
fn error_type(document: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Value>(document).ok();
    let named = parsed.as_ref().and_then(|document| document.get("errorType")).and_then(Value::as_str);
    named.unwrap_or("Unhandled").to_owned()
}

#[cfg(test)]
mod tests {
    use super::error_type;

    #[test]
    fn the_code_of_an_error_is_its_type() {
        assert_eq!(error_type(br#"{"errorType":"Sandbox.Timedout","errorMessage":"x"}"#), "Sandbox.Timedout");
        for unnamed in [&b"{}"[..], b"no JSON", b"[]"] {
            assert_eq!(error_type(unnamed), "Unhandled");
        }
    }
}
