//! Tags of functions: what AWS accepts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wuwei_model::limits;

use super::error::ApiError;

/// Tags of a new function; the members have passed validation.
pub(super) fn of_new(members: &Map<String, Value>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags = read(members)?;
    check_count(&tags)?;
    Ok(tags)
}

/// The tags that a call names.
pub(super) fn read(members: &Map<String, Value>) -> Result<BTreeMap<String, String>, ApiError> {
    let named = members.get("Tags").and_then(Value::as_object).into_iter().flatten();
    let tags: BTreeMap<String, String> =
        named.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    for (key, value) in &tags {
        check(key, value)?;
    }
    Ok(tags)
}

/// Refuses more tags than a resource can have.
pub(super) fn check_count(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > limits::TAGS_MAX {
        return Err(ApiError::invalid_parameter("Number of tags exceeds resource tag limit."));
    }
    Ok(())
}

fn check(key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.chars().count() > limits::TAG_KEY_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "The key of a tag has 1 to {} characters.",
            limits::TAG_KEY_MAX
        )));
    }
    if value.chars().count() > limits::TAG_VALUE_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "The value of tag {key} has more than {} characters.",
            limits::TAG_VALUE_MAX
        )));
    }
    if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
        return Err(ApiError::invalid_parameter(format!("Tag {key} begins with aws:, which is reserved.")));
    }
    let is_allowed = |text: &str| {
        text.chars()
            .all(|character| character.is_alphanumeric() || character.is_whitespace() || "_.:/=+-@".contains(character))
    };
    if !is_allowed(key) || !is_allowed(value) {
        return Err(ApiError::invalid_parameter(format!(
            "Tag {key} has characters other than letters, digits, spaces and _ . : / = + - @"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{of_new, read};
    use serde_json::{Map, Value, json};

    fn members(tags: &Value) -> Map<String, Value> {
        json!({ "Tags": tags }).as_object().unwrap().clone()
    }

    #[test]
    fn tags_have_bounded_keys_and_values_and_no_reserved_names() {
        for (key, value) in [("a", ""), (&"k".repeat(128), &"v".repeat(256)), ("日本 x:/=+-@_.", "ü")] {
            let tags = read(&members(&json!({ key: value }))).unwrap();
            assert_eq!(tags[key], value);
        }
        for (key, value) in [
            ("", "x"),
            (&"k".repeat(129), ""),
            ("k", &"v".repeat(257)),
            ("aws:x", ""),
            ("AWS:x", ""),
            ("a#", ""),
            ("a", "<"),
        ] {
            let refused = read(&members(&json!({ key: value }))).unwrap_err();
            assert_eq!(refused.name(), "InvalidParameterValueException", "{key} {value}");
        }
    }

    #[test]
    fn a_function_has_at_most_fifty() {
        let of = |count: usize| {
            let tags: Map<String, Value> = (0..count).map(|number| (format!("k{number}"), json!(""))).collect();
            of_new(&members(&Value::Object(tags)))
        };
        assert_eq!(of(50).unwrap().len(), 50);
        assert_eq!(of(51).unwrap_err().message(), "Number of tags exceeds resource tag limit.");
        assert!(of_new(&Map::new()).unwrap().is_empty());
    }
}
