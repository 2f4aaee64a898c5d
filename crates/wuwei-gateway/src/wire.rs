//! Requests and answers as bytes: bodies with limits, and answers before they are HTTP.

mod budget;
mod head;
mod request_body;
mod response;

pub(crate) use budget::{Budget, Share};
pub(crate) use head::{HEAD_BYTES_MAX, check_head};
pub(crate) use request_body::{BodyError, ReceivedBody, RequestBody};
pub(crate) use response::{Answer, AnswerBody, BrokenAnswerError};
