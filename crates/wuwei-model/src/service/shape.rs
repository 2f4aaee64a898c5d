//! From the members of an answer to status, headers and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::table::{Kind, Location, Operation, ServiceModel, Shape};

/// An answer split by the output shape.
#[derive(Debug)]
pub struct Output {
    /// HTTP status.
    pub status: u16,
    /// Modelled headers only; names in lower case.
    pub headers: Vec<(String, String)>,
    /// JSON, or the payload as it is; empty where the operation has no output, and with 204.
    pub body: Bytes,
}

pub(super) fn shape(
    model: &ServiceModel,
    operation: &Operation,
    mut members: Map<String, Value>,
    payload: Option<Bytes>,
) -> Output {
    let mut output = Output { status: operation.status, headers: vec![], body: Bytes::new() };
    let Some(shape) = operation.output.map(|id| model.get(id)) else {
        debug_assert!(members.is_empty(), "`{}` has no output", operation.name);
        return output;
    };
    let mut body = Map::new();
    let mut has_body = false;
    for member in shape.kind.members() {
        has_body |= member.location == Location::Body;
        let Some(value) = members.remove(&member.name).filter(|value| !value.is_null()) else { continue };
        match member.location {
            Location::StatusCode => {
                output.status = value.as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(output.status);
            }
            Location::Header => output.headers.push((member.wire_name.clone(), header_text(&value))),
            Location::Payload => output.body = payload_bytes(model, model.get(member.shape), value),
            Location::Body => {
                body.insert(member.wire_name.clone(), known(model, model.get(member.shape), value));
            }
            Location::Uri | Location::Query => {
                debug_assert!(false, "`{}` of an answer has a place in a request", member.name);
            }
        }
    }
    debug_assert!(members.is_empty(), "`{}` does not know {:?}", shape.name, members.keys().collect::<Vec<_>>());
    if let Some(payload) = payload {
        output.body = payload;
    } else if has_body && output.status != 204 {
        output.body = Value::Object(body).to_string().into();
    }
    output
}

fn header_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn payload_bytes(model: &ServiceModel, shape: &Shape, value: Value) -> Bytes {
    if !matches!(shape.kind, Kind::Blob) {
        return known(model, shape, value).to_string().into();
    }
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    debug_assert!(bytes.is_some(), "payload of `{}` is not base64 text", shape.name);
    bytes.unwrap_or_default().into()
}

/// The value without nulls and without members that the shape does not know.
fn known(model: &ServiceModel, shape: &Shape, value: Value) -> Value {
    match (&shape.kind, value) {
        (Kind::Structure { members }, Value::Object(mut fields)) => {
            let mut kept = Map::new();
            for member in members {
                if let Some(field) = fields.remove(&member.name).filter(|field| !field.is_null()) {
                    kept.insert(member.wire_name.clone(), known(model, model.get(member.shape), field));
                }
            }
            debug_assert!(fields.is_empty(), "`{}` does not know {:?}", shape.name, fields.keys().collect::<Vec<_>>());
            Value::Object(kept)
        }
        (Kind::List { member }, Value::Array(items)) => {
            Value::Array(items.into_iter().map(|item| known(model, model.get(*member), item)).collect())
        }
        (Kind::Map { value: element, .. }, Value::Object(entries)) => Value::Object(
            entries.into_iter().map(|(key, item)| (key, known(model, model.get(*element), item))).collect(),
        ),
        (_scalar, value) => value,
    }
}
