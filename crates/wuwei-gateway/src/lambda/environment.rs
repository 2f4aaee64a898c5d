//! Environment variables of a function: what AWS accepts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wuwei_engine::is_reserved_variable;
use wuwei_model::{EnvironmentVariables, limits};

use super::error::ApiError;

/// Reads the `Environment` member; `None` when it says nothing about variables.
pub(super) fn read(environment: Option<&Value>) -> Result<Option<EnvironmentVariables>, ApiError> {
    let Some(variables) = environment.and_then(|value| value.get("Variables")).and_then(Value::as_object) else {
        return Ok(None);
    };
    check(variables)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let map: BTreeMap<String, String> = variables.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Ok(Some(EnvironmentVariables::new(map)))
}

fn check(variables: &Map<String, Value>) -> Result<(), ApiError> {
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|name| is_reserved_variable(name)).collect();
    if !reserved.is_empty() {
        return Err(ApiError::invalid_parameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    // AWS measures the variables as JSON text and shows that text; we do not print what may be secrets.
    let measured = serde_json::to_string(variables).map_or(usize::MAX, |text| text.len());
    if measured > limits::ENVIRONMENT_BYTES_MAX {
        return Err(ApiError::invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn variables_are_measured_as_json_up_to_exactly_4096_bytes() {
        // {"A":"…"} has 8 bytes around the value.
        let of_length = |length: usize| json!({ "Variables": { "A": "x".repeat(length - 8) } });
        assert!(read(Some(&of_length(4096))).unwrap().is_some());
        let error = read(Some(&of_length(4097))).unwrap_err();
        assert!(error.message().ends_with("exceeded the 4KB limit."));
        assert!(!error.message().contains("xxx"));
    }

    #[test]
    fn reserved_names_are_refused_and_named() {
        let error = read(Some(&json!({ "Variables": { "AWS_REGION": "x", "OWN": "y" } }))).unwrap_err();
        assert!(error.message().ends_with("Reserved keys used in this request: AWS_REGION"));
    }

    #[test]
    fn no_variables_and_an_empty_map_are_different() {
        assert_eq!(read(None).unwrap(), None);
        assert_eq!(read(Some(&json!({}))).unwrap(), None);
        assert!(read(Some(&json!({ "Variables": {} }))).unwrap().unwrap().is_empty());
    }
}
