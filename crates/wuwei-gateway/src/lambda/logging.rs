//! The `LoggingConfig` member.

use serde_json::Value;
use wuwei_model::{ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel};

use super::error::ApiError;

/// AWS's own words, `Json` included.
const LEVEL_WITH_TEXT: &str = "LogLevel is not supported when LogFormat is set to \"Text\". \
     Remove LogLevel from your request or change the LogFormat to \"Json\" and try again.";

/// Changes what the member names. Levels stay what they were while the format stays JSON, and begin with INFO.
pub(super) fn update(config: &mut LoggingConfig, member: Option<&Value>) -> Result<(), ApiError> {
    let text = |name: &str| member.and_then(|member| member.get(name)).and_then(Value::as_str);
    let (application_before, system_before) = match config.format {
        LogFormat::Text => (ApplicationLogLevel::default(), SystemLogLevel::default()),
        LogFormat::Json { application, system } => (application, system),
    };
    let application = text("ApplicationLogLevel").and_then(ApplicationLogLevel::parse);
    let system = text("SystemLogLevel").and_then(SystemLogLevel::parse);
    config.format = match text("LogFormat").unwrap_or_else(|| config.format.as_str()) {
        "JSON" => LogFormat::Json {
            application: application.unwrap_or(application_before),
            system: system.unwrap_or(system_before),
        },
        _text if application.is_some() || system.is_some() => {
            return Err(ApiError::invalid_parameter(LEVEL_WITH_TEXT));
        }
        _text => LogFormat::Text,
    };
    if let Some(group) = text("LogGroup") {
        config.group = Some(group.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::update;
    use serde_json::{Value, json};
    use wuwei_model::{ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel};

    fn updated(before: &LoggingConfig, member: &Value) -> LoggingConfig {
        let mut config = before.clone();
        update(&mut config, Some(member)).unwrap();
        config
    }

    #[test]
    fn json_begins_with_info_and_keeps_the_levels_that_a_change_does_not_name() {
        let json = updated(&LoggingConfig::default(), &json!({ "LogFormat": "JSON", "LogGroup": "/mine" }));
        let info = LogFormat::Json { application: ApplicationLogLevel::Info, system: SystemLogLevel::Info };
        assert_eq!(json, LoggingConfig { format: info, group: Some("/mine".to_owned()) });
        let louder = updated(&json, &json!({ "SystemLogLevel": "DEBUG" }));
        let debug = LogFormat::Json { application: ApplicationLogLevel::Info, system: SystemLogLevel::Debug };
        assert_eq!(louder.format, debug);
        assert_eq!(updated(&louder, &json!({})), louder);
        assert_eq!(updated(&louder, &json!({ "LogFormat": "Text" })).format, LogFormat::Text);
    }

    #[test]
    fn text_has_no_levels() {
        for member in
            [json!({ "SystemLogLevel": "INFO" }), json!({ "LogFormat": "Text", "ApplicationLogLevel": "WARN" })]
        {
            let mut config = LoggingConfig::default();
            let error = update(&mut config, Some(&member)).unwrap_err();
            assert_eq!(error.name(), "InvalidParameterValueException");
            assert!(error.message().starts_with("LogLevel is not supported when LogFormat is set to \"Text\"."));
            assert_eq!(config, LoggingConfig::default());
        }
    }
}
