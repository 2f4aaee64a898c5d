use serde_json::Value;

/// Path of a member as AWS writes it: the first letter of each name in lower case, `code.s3Bucket`, `kMSKeyArn`.
pub(super) fn path(parent: &str, member: &str) -> String {
    let mut letters = member.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let separator = if parent.is_empty() { "" } else { "." };
    format!("{parent}{separator}{}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

/// A value as AWS's messages show it: `abc`, `10241`, `[a, b]`, `{key=value}`.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let pairs = entries.iter().map(|(key, value)| format!("{key}={}", shown(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}
