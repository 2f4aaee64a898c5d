//! Patterns that events are filtered by.

use serde_json::Value;

/// Whether a text is a pattern: an object whose leaves are lists of what a value may be.
pub(super) fn is_valid(pattern: &str) -> bool {
    matches!(serde_json::from_str(pattern), Ok(Value::Object(members)) if are_members(&members))
}

fn are_members(members: &serde_json::Map<String, Value>) -> bool {
    members.iter().all(|(name, value)| match value {
        // Either of several patterns.
        Value::Array(items) if name == "$or" => items.len() > 1 && items.iter().all(is_alternative),
        Value::Array(items) => !items.is_empty() && items.iter().all(is_leaf),
        Value::Object(inner) => are_members(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    })
}

fn is_alternative(item: &Value) -> bool {
    item.as_object().is_some_and(are_members)
}

fn is_leaf(item: &Value) -> bool {
    match item {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(_) => false,
        Value::Object(comparison) => {
            comparison.len() == 1 && comparison.iter().all(|(operator, operand)| is_comparison(operator, operand))
        }
    }
}

fn is_comparison(operator: &str, operand: &Value) -> bool {
    let is_scalar = |value: &Value| value.is_string() || value.is_number();
    match operator {
        "prefix" | "suffix" => operand.is_string() || is_ignoring_case(operand),
        "equals-ignore-case" | "wildcard" | "cidr" => operand.is_string(),
        "exists" => operand.is_boolean(),
        "anything-but" => match operand {
            Value::Array(items) => !items.is_empty() && items.iter().all(is_scalar),
            Value::Object(inner) => {
                inner.len() == 1
                    && inner.iter().all(|(operator, operand)| {
                        matches!(operator.as_str(), "prefix" | "suffix" | "equals-ignore-case" | "wildcard")
                            && operand.is_string()
                    })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => is_scalar(operand),
        },
        "numeric" => operand.as_array().is_some_and(|items| is_range(items)),
        _unknown => false,
    }
}

fn is_ignoring_case(operand: &Value) -> bool {
    operand
        .as_object()
        .is_some_and(|inner| inner.len() == 1 && inner.get("equals-ignore-case").is_some_and(Value::is_string))
}

/// `["=", 1]`, or one or two bounds: `[">", 0, "<=", 5]`.
fn is_range(items: &[Value]) -> bool {
    let is_bound = |pair: &[Value]| match pair {
        [operator, number] => {
            number.is_number() && operator.as_str().is_some_and(|text| [">", ">=", "<", "<="].contains(&text))
        }
        _other => false,
    };
    match items {
        [operator, number] if operator == "=" => number.is_number(),
        [_, _] => is_bound(items),
        [_, _, _, _] => items.chunks(2).all(is_bound),
        _other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn leaves_of_a_pattern_are_lists_of_values_and_comparisons() {
        for pattern in [
            "{}",
            r#"{"body":{"kind":["a",1,null,true]}}"#,
            r#"{"a":[{"prefix":"x"},{"suffix":{"equals-ignore-case":"y"}}]}"#,
            r#"{"a":[{"anything-but":["x",1]},{"anything-but":"x"},{"anything-but":{"prefix":"x"}}]}"#,
            r#"{"a":[{"numeric":["=",1]},{"numeric":[">",0,"<=",5]},{"exists":false}]}"#,
            r#"{"$or":[{"a":[1]},{"b":{"c":[2]}}]}"#,
        ] {
            assert!(is_valid(pattern), "{pattern}");
        }
        for pattern in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a":1}"#,
            r#"{"a":[]}"#,
            r#"{"a":[[1]]}"#,
            r#"{"a":[{"unknown":1}]}"#,
            r#"{"a":[{"prefix":1}]}"#,
            r#"{"a":[{"prefix":{}}]}"#,
            r#"{"a":[{"numeric":["~",1]}]}"#,
            r#"{"a":[{"numeric":[">",0,"<"]}]}"#,
            r#"{"a":[{"prefix":"x","suffix":"y"}]}"#,
            r#"{"$or":[{"a":[1]}]}"#,
        ] {
            assert!(!is_valid(pattern), "{pattern}");
        }
        assert!(!is_valid(&r#"{"a":"#.repeat(500)));
    }
}
