//! From the parts of a request to the members of an input.
//!
//! Wording of the errors: as AWS's rest-json and awsJson services answer; what is not known of them is said plainly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::table::{Kind, Location, Member, Operation, ServiceModel, ShapeId};
use super::{Input, RequestParts};

/// `SerializationException`, 400: the request does not have the shape; the text is AWS's.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct SerializationError {
    /// For the caller.
    pub message: String,
}

impl SerializationError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

const LIST_NOT_EXPECTED: &str = "Start of list found where not expected";
const STRUCTURE_NOT_EXPECTED: &str = "Start of structure or map found where not expected.";

pub(super) fn bind(
    model: &ServiceModel,
    operation: &Operation,
    parts: &RequestParts<'_>,
) -> Result<Input, SerializationError> {
    let members = model.get(operation.input).kind.members();
    let mut input = Input { members: Map::new(), payload: None };
    let mut body = if members.iter().any(|member| member.location == Location::Body) {
        parse_object(&parts.body)?
    } else {
        Map::new()
    };
    for member in members {
        let value = match member.location {
            Location::Uri => from_first(model, member, parts.labels)?,
            Location::Header => from_first(model, member, parts.headers)?,
            Location::Query => from_query(model, member, parts.query)?,
            Location::Body => {
                let value = body.remove(&member.wire_name);
                value.map(|value| from_json(model, member.shape, value)).transpose()?.flatten()
            }
            Location::Payload if matches!(model.get(member.shape).kind, Kind::Blob) => {
                input.payload = (!parts.body.is_empty()).then(|| parts.body.clone());
                None
            }
            Location::Payload if parts.body.is_empty() => None,
            Location::Payload => from_json(model, member.shape, Value::Object(parse_object(&parts.body)?))?,
            Location::StatusCode => None,
        };
        if let Some(value) = value {
            input.members.insert(member.name.clone(), value);
        }
    }
    Ok(input)
}

/// The body as a JSON object; an empty body and `null` are objects without members.
fn parse_object(body: &[u8]) -> Result<Map<String, Value>, SerializationError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| SerializationError::new(format!("Could not parse request body into json: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        Value::Array(_) => Err(SerializationError::new(LIST_NOT_EXPECTED)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(SerializationError::new("Expected null")),
    }
}

fn from_first(
    model: &ServiceModel,
    member: &Member,
    pairs: &[(String, String)],
) -> Result<Option<Value>, SerializationError> {
    let found = pairs.iter().find(|(name, _)| *name == member.wire_name);
    found.map(|(_, text)| from_text(&model.get(member.shape).kind, text)).transpose()
}

fn from_query(
    model: &ServiceModel,
    member: &Member,
    query: &[(String, String)],
) -> Result<Option<Value>, SerializationError> {
    let Kind::List { member: element } = &model.get(member.shape).kind else {
        return from_first(model, member, query);
    };
    let texts = query.iter().filter(|(name, _)| *name == member.wire_name);
    let values: Vec<Value> =
        texts.map(|(_, text)| from_text(&model.get(*element).kind, text)).collect::<Result<_, _>>()?;
    Ok((!values.is_empty()).then_some(Value::Array(values)))
}

/// A value from a path, a query or a header.
pub(super) fn from_text(kind: &Kind, text: &str) -> Result<Value, SerializationError> {
    let parsed = match kind {
        Kind::String | Kind::Blob | Kind::List { .. } | Kind::Map { .. } | Kind::Structure { .. } => {
            Some(Value::from(text))
        }
        Kind::Integer => text.parse::<i32>().ok().map(Value::from),
        Kind::Long => text.parse::<i64>().ok().map(Value::from),
        Kind::Double => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Boolean => text.to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool),
        Kind::Timestamp => timestamp(text),
    };
    parsed.ok_or_else(|| SerializationError::new(format!("STRING_VALUE can not be converted to {}", target(kind))))
}

/// A value from a JSON body; `None` for null.
fn from_json(model: &ServiceModel, shape: ShapeId, value: Value) -> Result<Option<Value>, SerializationError> {
    let kind = &model.get(shape).kind;
    if value.is_null() {
        return Ok(None);
    }
    let bound = match (kind, value) {
        (Kind::String, Value::String(text)) => Value::String(text),
        (Kind::Integer, Value::Number(number)) => whole(&number, i32::MIN.into(), i32::MAX.into(), "int")?,
        (Kind::Long, Value::Number(number)) => whole(&number, i64::MIN, i64::MAX, "long")?,
        (Kind::Double | Kind::Timestamp, Value::Number(number)) => Value::Number(number),
        (Kind::Boolean, Value::Bool(value)) => Value::Bool(value),
        (Kind::Blob, Value::String(text)) => blob(text)?,
        (Kind::Timestamp, Value::String(text)) => {
            timestamp(&text).ok_or_else(|| mismatch(kind, &Value::String(text)))?
        }
        (Kind::List { member }, Value::Array(items)) => {
            let bound = items.into_iter().map(|item| Ok(from_json(model, *member, item)?.unwrap_or(Value::Null)));
            Value::Array(bound.collect::<Result<_, SerializationError>>()?)
        }
        (Kind::Map { value: element, .. }, Value::Object(entries)) => {
            let bound = entries
                .into_iter()
                .map(|(key, item)| Ok((key, from_json(model, *element, item)?.unwrap_or(Value::Null))));
            Value::Object(bound.collect::<Result<_, SerializationError>>()?)
        }
        (Kind::Structure { members }, Value::Object(mut fields)) => {
            let mut bound = Map::new();
            for member in members {
                let Some(field) = fields.remove(&member.wire_name) else { continue };
                if let Some(field) = from_json(model, member.shape, field)? {
                    bound.insert(member.name.clone(), field);
                }
            }
            Value::Object(bound)
        }
        (kind, value) => return Err(mismatch(kind, &value)),
    };
    Ok(Some(bound))
}

/// AWS cuts fractions off where a whole number is expected.
fn whole(number: &Number, min: i64, max: i64, java_type: &str) -> Result<Value, SerializationError> {
    let cut = || number.as_f64().and_then(|value| format!("{:.0}", value.trunc()).parse::<i64>().ok());
    let value = number.as_i64().or_else(cut).filter(|value| (min..=max).contains(value));
    value.map(Value::from).ok_or_else(|| {
        SerializationError::new(format!("Numeric value ({number}) out of range of {java_type} ({min} - {max})"))
    })
}

fn blob(text: String) -> Result<Value, SerializationError> {
    match STANDARD.decode(&text) {
        Ok(_bytes) => Ok(Value::String(text)),
        Err(error) => Err(SerializationError::new(format!("Could not decode base64 text: {error}"))),
    }
}

/// ISO 8601, or seconds since the Unix epoch.
fn timestamp(text: &str) -> Option<Value> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Value::from(seconds));
    }
    let moment = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok()?;
    let milliseconds = i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()?;
    if milliseconds % 1_000 == 0 {
        return Some(Value::from(milliseconds / 1_000));
    }
    Number::from_f64(milliseconds as f64 / 1_000.0).map(Value::Number)
}

/// What a JSON value is refused with where another type is expected.
fn mismatch(kind: &Kind, value: &Value) -> SerializationError {
    let found = match value {
        Value::Object(_) => return SerializationError::new(STRUCTURE_NOT_EXPECTED),
        Value::Array(_) => return SerializationError::new(LIST_NOT_EXPECTED),
        Value::String(_) => "STRING_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Null => "NULL_VALUE",
    };
    match kind {
        Kind::List { .. } => SerializationError::new("Expected list or null"),
        Kind::Map { .. } => SerializationError::new("Expected map or null"),
        Kind::Structure { .. } => SerializationError::new("Expected null"),
        Kind::String | Kind::Integer | Kind::Long | Kind::Double | Kind::Boolean | Kind::Blob | Kind::Timestamp => {
            SerializationError::new(format!("{found} can not be converted to {}", target(kind)))
        }
    }
}

/// A type as AWS names it, with its article.
fn target(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a String",
        Kind::Integer => "an Integer",
        Kind::Long => "a Long",
        Kind::Double => "a Double",
        Kind::Boolean => "a Boolean",
        Kind::Blob => "a ByteBuffer",
        Kind::Timestamp => "a Timestamp",
        Kind::List { .. } => "a List",
        Kind::Map { .. } => "a Map",
        Kind::Structure { .. } => "a Structure",
    }
}
