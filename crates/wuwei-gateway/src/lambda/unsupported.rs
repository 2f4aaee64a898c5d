//! Settings that wuwei does not honour yet: refused, never silently dropped.

use serde_json::{Map, Value};

use super::error::ApiError;

/// Members that are accepted only when they say nothing, and what they would say by default.
const NOT_YET: &[(&str, &str)] = &[
    ("CapacityProviderConfig", ""),
    ("DurableConfig", ""),
    ("DurableExecutionName", ""),
    ("ImageConfig", ""),
    ("PublishTo", ""),
    ("SourceKMSKeyArn", ""),
    ("PackageType", "Zip"),
];

/// Refuses a call whose members ask for something that would not be done.
pub(super) fn refuse(members: &Map<String, Value>) -> Result<(), ApiError> {
    for (path, default) in NOT_YET {
        let value = lookup(members, path);
        if value.is_some_and(|value| !says_nothing(value) && value.as_str() != Some(default)) {
            return Err(not_yet(path, value, default));
        }
    }
    Ok(())
}

/// Names the member; its value only where the model has an enumeration for it, so that no user's text is repeated.
fn not_yet(path: &str, value: Option<&Value>, default: &str) -> ApiError {
    let message = match value.and_then(Value::as_str) {
        Some(text) if !default.is_empty() => {
            format!("{path} {text} is not supported yet by wuwei: leave it out, or use {default}")
        }
        Some(_) | None => format!("{path} is not supported yet by wuwei: leave it out"),
    };
    ApiError::invalid_parameter(message)
}

fn lookup<'members>(members: &'members Map<String, Value>, path: &str) -> Option<&'members Value> {
    match path.split_once('.') {
        Some((outer, inner)) => members.get(outer)?.as_object()?.get(inner),
        None => members.get(path),
    }
}

/// Null, false, empty, or made of such values only.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(says_nothing),
        Value::Object(members) => members.values().all(says_nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::refuse;
    use serde_json::json;

    #[test]
    fn defaults_pass_and_anything_else_is_refused_by_name() {
        let check = |members: serde_json::Value, refused: Option<&str>| {
            let result = refuse(members.as_object().unwrap());
            match refused {
                None => assert!(result.is_ok(), "{members}"),
                Some(path) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.name(), "InvalidParameterValueException");
                    assert!(error.message().starts_with(&format!("{path} ")), "{members}");
                    assert!(error.message().contains("is not supported yet"), "{members}");
                }
            }
        };
        check(json!({}), None);
        check(json!({ "ImageConfig": { "EntryPoint": [], "Command": [], "WorkingDirectory": "" } }), None);
        check(json!({ "ImageConfig": { "Command": ["x"] } }), Some("ImageConfig"));
        check(json!({ "PublishTo": "LATEST_PUBLISHED" }), Some("PublishTo"));
        check(json!({ "PublishTo": "", "PackageType": "Zip" }), None);
        check(json!({ "DurableConfig": { "ExecutionTimeout": 1 } }), Some("DurableConfig"));
        check(json!({ "PackageType": "Image" }), Some("PackageType"));
    }
}
