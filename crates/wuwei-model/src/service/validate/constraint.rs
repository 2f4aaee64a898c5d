use serde_json::{Number, Value};

use crate::service::table::{Kind, Shape};

pub(super) const NOT_NULL: &str = "Member must not be null";

/// What a bound is about.
enum Measure {
    /// UTF-16 units of a string (as Java counts), bytes of a blob, elements of a list or map.
    Length,
    Value,
}

/// Wording of a shape's own constraints, in AWS's order: enum, maximum, minimum, pattern.
pub(super) struct ConstraintText;

impl ConstraintText {
    /// Texts of all constraints.
    pub(super) fn all(shape: &Shape) -> Vec<String> {
        let constraints = &shape.constraints;
        let mut texts = vec![];
        if !constraints.values.is_empty() {
            texts.push(values_text(&constraints.values));
        }
        texts.extend(constraints.max.as_ref().map(|max| bound_text(shape, "less", max)));
        texts.extend(constraints.min.as_ref().map(|min| bound_text(shape, "greater", min)));
        texts.extend(constraints.pattern.as_ref().map(|pattern| pattern_text(pattern.as_str())));
        texts
    }

    /// Texts of the constraints that the value violates; `max` stands in for the shape's.
    pub(super) fn violated(shape: &Shape, max: Option<&Number>, value: &Value) -> Vec<String> {
        let constraints = &shape.constraints;
        let mut texts = vec![];
        let strange = |text| !constraints.values.is_empty() && !constraints.values.iter().any(|known| known == text);
        if value.as_str().is_some_and(strange) {
            texts.push(values_text(&constraints.values));
        }
        let size = size_of(shape, value);
        let max = max.or(constraints.max.as_ref());
        texts.extend(max.filter(|max| exceeds(size, max)).map(|max| bound_text(shape, "less", max)));
        let min = constraints.min.as_ref();
        texts.extend(min.filter(|min| falls_short(size, min)).map(|min| bound_text(shape, "greater", min)));
        if let (Some(pattern), Some(text)) = (&constraints.pattern, value.as_str())
            && !pattern.matches(text)
        {
            texts.push(pattern_text(pattern.as_str()));
        }
        texts
    }
}

fn exceeds(size: Option<f64>, max: &Number) -> bool {
    size.zip(max.as_f64()).is_some_and(|(size, max)| size > max)
}

fn falls_short(size: Option<f64>, min: &Number) -> bool {
    size.zip(min.as_f64()).is_some_and(|(size, min)| size < min)
}

fn measure(shape: &Shape) -> Option<Measure> {
    match shape.kind {
        Kind::String | Kind::Blob | Kind::List { .. } | Kind::Map { .. } => Some(Measure::Length),
        Kind::Integer | Kind::Long | Kind::Double => Some(Measure::Value),
        Kind::Boolean | Kind::Timestamp | Kind::Structure { .. } => None,
    }
}

fn size_of(shape: &Shape, value: &Value) -> Option<f64> {
    match (measure(shape)?, value) {
        (Measure::Value, value) => value.as_f64(),
        (Measure::Length, Value::String(text)) if matches!(shape.kind, Kind::Blob) => Some(decoded_length(text) as f64),
        (Measure::Length, Value::String(text)) => Some(text.encode_utf16().count() as f64),
        (Measure::Length, Value::Array(items)) => Some(items.len() as f64),
        (Measure::Length, Value::Object(entries)) => Some(entries.len() as f64),
        (Measure::Length, Value::Null | Value::Bool(_) | Value::Number(_)) => None,
    }
}

/// Bytes that a padded base64 text stands for.
fn decoded_length(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

fn bound_text(shape: &Shape, direction: &str, bound: &Number) -> String {
    let what = match measure(shape) {
        Some(Measure::Length) => "length",
        Some(Measure::Value) | None => "value",
    };
    format!("Member must have {what} {direction} than or equal to {bound}")
}

fn pattern_text(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn values_text(values: &[String]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}
