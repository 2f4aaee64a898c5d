//! How a logging configuration is written down.

use serde::{Deserialize, Serialize};
use wuwei_model::{ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel};

/// A configuration that says something.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredLogging {
    /// Absent for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<StoredLevels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct StoredLevels {
    application: StoredApplicationLevel,
    system: StoredSystemLevel,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredApplicationLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredSystemLevel {
    Debug,
    Info,
    Warn,
}

impl StoredLogging {
    /// `None` for a configuration that is the default.
    pub(super) fn of(config: &LoggingConfig) -> Option<Self> {
        let LoggingConfig { format, group } = config;
        let json = match format {
            LogFormat::Text => None,
            LogFormat::Json { application, system } => {
                Some(StoredLevels { application: stored_application(*application), system: stored_system(*system) })
            }
        };
        (json.is_some() || group.is_some()).then(|| Self { json, group: group.clone() })
    }

    /// Name of the group, where one was given.
    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    pub(super) fn into_config(self) -> LoggingConfig {
        let format = self.json.map_or(LogFormat::Text, |levels| LogFormat::Json {
            application: match levels.application {
                StoredApplicationLevel::Trace => ApplicationLogLevel::Trace,
                StoredApplicationLevel::Debug => ApplicationLogLevel::Debug,
                StoredApplicationLevel::Info => ApplicationLogLevel::Info,
                StoredApplicationLevel::Warn => ApplicationLogLevel::Warn,
                StoredApplicationLevel::Error => ApplicationLogLevel::Error,
                StoredApplicationLevel::Fatal => ApplicationLogLevel::Fatal,
            },
            system: match levels.system {
                StoredSystemLevel::Debug => SystemLogLevel::Debug,
                StoredSystemLevel::Info => SystemLogLevel::Info,
                StoredSystemLevel::Warn => SystemLogLevel::Warn,
            },
        });
        LoggingConfig { format, group: self.group }
    }
}

fn stored_application(level: ApplicationLogLevel) -> StoredApplicationLevel {
    match level {
        ApplicationLogLevel::Trace => StoredApplicationLevel::Trace,
        ApplicationLogLevel::Debug => StoredApplicationLevel::Debug,
        ApplicationLogLevel::Info => StoredApplicationLevel::Info,
        ApplicationLogLevel::Warn => StoredApplicationLevel::Warn,
        ApplicationLogLevel::Error => StoredApplicationLevel::Error,
        ApplicationLogLevel::Fatal => StoredApplicationLevel::Fatal,
    }
}

fn stored_system(level: SystemLogLevel) -> StoredSystemLevel {
    match level {
        SystemLogLevel::Debug => StoredSystemLevel::Debug,
        SystemLogLevel::Info => StoredSystemLevel::Info,
        SystemLogLevel::Warn => StoredSystemLevel::Warn,
    }
}
