//! Requests and answers as bytes: bodies with limits, and answers before they are HTTP.

mod request_body;
mod response;

pub(crate) use request_body::{BodyError, ReceivedBody, RequestBody};
pub(crate) use response::{Answer, AnswerBody, BrokenAnswerError};
