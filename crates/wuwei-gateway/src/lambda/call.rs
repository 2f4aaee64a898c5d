//! One call of an operation, as its function sees it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use wuwei_model::FunctionKey;

use super::target::Target;
use crate::auth::Principal;
use crate::gateway::Parts;
use crate::wire::Answer;

/// A call that is authenticated, valid and allowed.
pub(crate) struct Call {
    pub(crate) parts: Arc<Parts>,
    pub(crate) principal: Principal,
    /// UUID.
    pub(crate) request_id: String,
    /// Members of the input, by AWS's names.
    pub(crate) members: Map<String, Value>,
    /// Body of the operations that take a raw one.
    pub(crate) payload: Option<Bytes>,
    /// AWS's own headers, with lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    /// The function that the call is about.
    pub(crate) target: Option<Target>,
}

/// What an operation answers.
pub(crate) enum Reply {
    /// Members of the output; the status is the model's.
    Members(Map<String, Value>),
    /// Nothing, with this status.
    Empty(StatusCode),
    /// Members of the output that are headers, the body as it is, and headers that are not AWS's.
    WithPayload(Map<String, Value>, Bytes, Vec<(HeaderName, HeaderValue)>),
    /// As it is; its body may still be on its way.
    Answer(Answer),
}

impl Call {
    /// A text member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// A member that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.members.get(name).and_then(Value::as_u64)
    }

    /// A member that is true or false; absent is false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.members.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// One of AWS's own headers, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The function; all operations that ask for it have a required `FunctionName`.
    pub(crate) fn target(&self) -> &Target {
        self.target.as_ref().expect("validation refuses a call without its required FunctionName")
    }

    /// Key of the function.
    pub(crate) fn key(&self) -> &FunctionKey {
        &self.target().key
    }
}
