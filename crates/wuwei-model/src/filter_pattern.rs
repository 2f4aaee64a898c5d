//! The filter-pattern language of CloudWatch Logs: which events `FilterLogEvents` gives.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>: terms, `{ … }` for events that
//! are JSON, `[ … ]` for events of columns. Case counts in all of them.

mod columns;
mod json;
mod reader;
mod terms;
mod value;

use std::str::FromStr;

use thiserror::Error;

use columns::Columns;
use json::Condition;
use terms::Terms;

/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;

/// A pattern that was understood.
#[derive(Debug)]
pub struct FilterPattern(Kind);

#[derive(Debug)]
enum Kind {
    Terms(Terms),
    Json(Condition),
    Columns(Columns),
}

/// The text is no pattern; says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Invalid filter pattern: expected {0}")]
pub struct InvalidFilterPatternError(pub(crate) &'static str);

impl FromStr for FilterPattern {
    type Err = InvalidFilterPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(Self(match text.chars().next() {
            Some('{') => Kind::Json(json::parse(text)?),
            Some('[') => Kind::Columns(columns::parse(text)?),
            Some(_) | None => Kind::Terms(terms::parse(text)?),
        }))
    }
}

impl FilterPattern {
    /// Whether an event has what the pattern asks for.
    #[must_use]
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(condition) => {
                message.trim_start().starts_with(['{', '['])
                    && serde_json::from_str(message).is_ok_and(|document| condition.holds(&document))
            }
            Kind::Columns(columns) => columns.matches(message),
        }
    }
}

#[cfg(test)]
mod tests;
