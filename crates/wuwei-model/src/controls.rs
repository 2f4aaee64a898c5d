use std::str::FromStr;

/// What becomes of asynchronous invocations of a function, one of its versions or aliases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventInvokeConfig {
    /// 0-2; `None` is AWS's 2.
    pub maximum_retry_attempts: Option<u8>,
    /// 60-21,600; `None` is AWS's six hours.
    pub maximum_event_age_s: Option<u32>,
    /// ARN of what hears of successes.
    pub on_success: Option<String>,
    /// ARN of what hears of failures.
    pub on_failure: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// When the runtime of a version is replaced by a newer build (AWS's `UpdateRuntimeOn`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuntimeUpdate {
    /// Whenever there is one.
    #[default]
    Auto,
    /// When the function is changed.
    FunctionUpdate,
    /// Never: it stays at the build of this ARN.
    Manual(String),
}

impl RuntimeUpdate {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::FunctionUpdate => "FunctionUpdate",
            Self::Manual(_) => "Manual",
        }
    }
}

/// What is done about a function that calls itself in a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecursiveLoop {
    /// It goes on.
    Allow,
    /// It is broken off where it is noticed.
    #[default]
    Terminate,
}

/// The text is not a value of the enumeration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not known")]
pub struct UnknownRecursiveLoopError(String);

impl RecursiveLoop {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Terminate => "Terminate",
        }
    }
}

impl FromStr for RecursiveLoop {
    type Err = UnknownRecursiveLoopError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Allow, Self::Terminate].into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownRecursiveLoopError(text.to_owned()))
    }
}

/// Instances of a version that are kept initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionedConcurrency {
    /// How many, at least 1.
    pub requested: u32,
    /// Milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::RecursiveLoop;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for known in [RecursiveLoop::Allow, RecursiveLoop::Terminate] {
            assert_eq!(known.as_str().parse(), Ok(known));
        }
        "allow".parse::<RecursiveLoop>().unwrap_err();
    }
}
