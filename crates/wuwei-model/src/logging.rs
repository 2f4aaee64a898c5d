//! How a function's log is written (AWS's `LoggingConfig`).

/// A function's choice; the default is what AWS does without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggingConfig {
    /// Form of the log, with the levels that only one of the forms has.
    pub format: LogFormat,
    /// Name of the log group; `None` is `/aws/lambda/<function>`.
    pub group: Option<String>,
}

/// Form of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text, all of them.
    #[default]
    Text,
    /// JSON documents from a level on.
    Json {
        /// Least level of the function's own lines.
        application: ApplicationLogLevel,
        /// Least level of the platform's events.
        system: SystemLogLevel,
    },
}

impl LogFormat {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json { .. } => "JSON",
        }
    }
}

/// Level of a function's own line; a later one is more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApplicationLogLevel {
    /// Finest.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// Ordinary; also what a line is that names no level.
    #[default]
    Info,
    /// May become an error.
    Warn,
    /// Something did not work.
    Error,
    /// Nothing works any more.
    Fatal,
}

impl ApplicationLogLevel {
    /// All, finest first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// The level that is spelled so, in whatever case; `None` for anything else.
    ///
    /// Python's loggers say `WARNING` and `CRITICAL` where AWS says WARN and FATAL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        match () {
            () if is("WARNING") => Some(Self::Warn),
            () if is("CRITICAL") => Some(Self::Fatal),
            () => Self::ALL.into_iter().find(|level| is(level.as_str())),
        }
    }
}

/// Level of an event of the platform's; a later one is more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemLogLevel {
    /// Everything.
    Debug,
    /// Starts and reports.
    #[default]
    Info,
    /// What did not end well.
    Warn,
}

impl SystemLogLevel {
    /// All, finest first.
    pub const ALL: [Self; 3] = [Self::Debug, Self::Info, Self::Warn];

    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
        }
    }

    /// The level with AWS's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::{ApplicationLogLevel, SystemLogLevel};

    #[test]
    fn levels_are_read_back_in_whatever_case_and_have_an_order() {
        for level in ApplicationLogLevel::ALL {
            assert_eq!(ApplicationLogLevel::parse(level.as_str()), Some(level));
            assert_eq!(ApplicationLogLevel::parse(&level.as_str().to_lowercase()), Some(level));
        }
        assert_eq!(ApplicationLogLevel::parse("Warning"), Some(ApplicationLogLevel::Warn));
        assert_eq!(ApplicationLogLevel::parse("CRITICAL"), Some(ApplicationLogLevel::Fatal));
        assert_eq!(ApplicationLogLevel::parse("loud"), None);
        assert!(ApplicationLogLevel::Trace < ApplicationLogLevel::Info);
        assert!(SystemLogLevel::Info < SystemLogLevel::Warn);
        assert_eq!(SystemLogLevel::parse("WARN"), Some(SystemLogLevel::Warn));
        assert_eq!(SystemLogLevel::parse("ERROR"), None);
    }
}
