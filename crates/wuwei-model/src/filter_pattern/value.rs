//! What a field is compared with.

use fancy_regex::{Regex, RegexBuilder};

use super::InvalidFilterPatternError;
use super::reader::Reader;
use crate::glob::glob_matches;

/// Steps that an expression may take on one event.
const BACKTRACK_LIMIT: usize = 100_000;

/// A regular expression between `%` and `%`.
#[derive(Debug)]
pub(super) struct Expression(Regex);

impl Expression {
    pub(super) fn new(text: &str) -> Result<Self, InvalidFilterPatternError> {
        // Neither groups nor classes of more than ASCII: as AWS has it, and nothing that takes long.
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || ":_#=@/;,- ^$?[]{}|\\*+.".contains(character);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err(InvalidFilterPatternError("a regular expression without groups"));
        }
        let built = RegexBuilder::new(text).backtrack_limit(BACKTRACK_LIMIT).delegate_size_limit(1 << 20).build();
        built.map(Self).map_err(|_error| InvalidFilterPatternError("a regular expression"))
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text).unwrap_or(false)
    }
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // The longer ones first.
        let known = [
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("==", Self::Equal),
            ("=", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        known.into_iter().find(|(text, _)| reader.take(text)).map(|(_, comparison)| comparison)
    }
}

/// With what it is compared.
#[derive(Debug)]
pub(super) enum Operand {
    /// `*` is a wildcard.
    Text(String),
    Expression(Expression),
}

impl Operand {
    /// A word, a number, a quoted text or an expression, up to one of the marks that end it.
    pub(super) fn read(reader: &mut Reader<'_>, ends: &str) -> Result<Self, InvalidFilterPatternError> {
        reader.skip_space();
        match reader.peek() {
            Some('"') => Ok(Self::Text(reader.enclosed('"')?)),
            Some('%') => Ok(Self::Expression(reader.expression()?)),
            Some(_) | None => {
                let word = reader.take_while(|character| !character.is_whitespace() && !ends.contains(character));
                if word.is_empty() {
                    Err(InvalidFilterPatternError("a value"))
                } else {
                    Ok(Self::Text(word.to_owned()))
                }
            }
        }
    }

    /// Whether a text compares so. The order is that of numbers; what is none has no order.
    pub(super) fn compare(&self, comparison: Comparison, found: &str) -> bool {
        let equals = || match self {
            Self::Text(text) => match (number(text), number(found)) {
                (Some(wanted), Some(found)) => wanted == found,
                _texts => {
                    if text.contains('*') {
                        glob_matches(text, found)
                    } else {
                        text == found
                    }
                }
            },
            Self::Expression(expression) => expression.is_in(found),
        };
        let order = || match self {
            Self::Text(text) => number(found)?.partial_cmp(&number(text)?),
            Self::Expression(_) => None,
        };
        match comparison {
            Comparison::Equal => equals(),
            Comparison::NotEqual => !equals(),
            Comparison::Less => order().is_some_and(std::cmp::Ordering::is_lt),
            Comparison::LessOrEqual => order().is_some_and(std::cmp::Ordering::is_le),
            Comparison::Greater => order().is_some_and(std::cmp::Ordering::is_gt),
            Comparison::GreaterOrEqual => order().is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

/// A number as the language writes it: digits, a sign, a point, an exponent.
fn number(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().any(|byte| byte.is_ascii_digit()) || !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok()
}
