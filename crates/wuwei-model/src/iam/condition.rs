//! Conditions: `{"StringLike": {"aws:username": "team-*"}}`.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Iso8601;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::request::ContextKeys;
use super::variables::{self, Language};
use crate::IpNetwork;

/// One operator on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    is_negated: bool,
    /// A request without the key meets it.
    if_exists: bool,
    quantifier: Option<Quantifier>,
    key: String,
    values: Vec<String>,
    language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    String,
    StringIgnoringCase,
    StringLike,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equals,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// `ForAllValues`: every value of the request's; a request without the key meets it.
    All,
    /// `ForAnyValue`: one value of the request's.
    Any,
}

impl Condition {
    /// `None` when there is no such operator.
    pub(super) fn new(operator: &str, key: &str, values: Vec<String>, language: Language) -> Option<Self> {
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Some(Quantifier::All), name),
            Some(("ForAnyValue", name)) => (Some(Quantifier::Any), name),
            Some(_) => return None,
            None => (None, operator),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (operator, is_negated) = Operator::named(name)?;
        if operator == Operator::Null && (if_exists || quantifier.is_some()) {
            return None;
        }
        Some(Self { operator, is_negated, if_exists, quantifier, key: key.to_owned(), values, language })
    }

    /// Whether its values are of the operator's kind.
    pub(super) fn has_values(&self) -> bool {
        !self.values.is_empty() && self.values.iter().all(|value| self.operator.takes(value))
    }

    /// Whether it lets its statement hold, which allows or denies. What cannot be known lets no statement allow, and every
    /// one deny.
    pub(super) fn is_met(&self, context: &ContextKeys, is_allow: bool) -> bool {
        if !is_allow && !context.is_certain(&self.key) {
            return true;
        }
        let is_resolved = |value: &String| variables::resolve(value, context, self.language).is_some();
        if is_allow && self.is_negated && self.operator.has_variables() && !self.values.iter().all(is_resolved) {
            return false;
        }
        let found = context.get(&self.key);
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| value.eq_ignore_ascii_case("true") == found.is_none());
        }
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            // A key that is not there is not equal to anything.
            return self.if_exists
                || self.quantifier == Some(Quantifier::All)
                || self.is_negated && self.quantifier.is_none();
        };
        let is_met = |value: &String| {
            let is_matched = self.values.iter().any(|wanted| self.matches(wanted, value, context));
            is_matched != self.is_negated
        };
        match (self.quantifier, self.is_negated) {
            (Some(Quantifier::All), _) | (None, true) => found.iter().all(is_met),
            (Some(Quantifier::Any), _) | (None, false) => found.iter().any(is_met),
        }
    }
}

impl Condition {
    fn matches(&self, wanted: &str, found: &str, context: &ContextKeys) -> bool {
        let resolved = || variables::resolve(wanted, context, self.language);
        match self.operator {
            Operator::String => resolved().is_some_and(|pieces| variables::text_of(&pieces) == found),
            Operator::StringIgnoringCase => {
                resolved().is_some_and(|pieces| variables::text_of(&pieces).to_lowercase() == found.to_lowercase())
            }
            Operator::StringLike => resolved().is_some_and(|pieces| variables::matches(&pieces, found)),
            Operator::Arn => resolved().is_some_and(|pieces| variables::matches_arn(&pieces, found)),
            Operator::Number(order) => match (number(found), number(wanted)) {
                (Some(found), Some(wanted)) => found.partial_cmp(&wanted).is_some_and(|found| order.holds(found)),
                _none => false,
            },
            Operator::Date(order) => match (instant(found), instant(wanted)) {
                (Some(found), Some(wanted)) => order.holds(found.cmp(&wanted)),
                _none => false,
            },
            Operator::Bool => wanted.eq_ignore_ascii_case(found),
            Operator::Binary => bytes(wanted).is_some_and(|wanted| bytes(found) == Some(wanted)),
            Operator::IpAddress => IpNetwork::parse(wanted).is_some_and(|network| {
                found.parse::<IpAddr>().is_ok_and(|address| network.contains(address.to_canonical()))
            }),
            Operator::Null => false,
        }
    }
}

impl Operator {
    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "StringEquals" => (Self::String, false),
            "StringNotEquals" => (Self::String, true),
            "StringEqualsIgnoreCase" => (Self::StringIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Self::StringIgnoringCase, true),
            "StringLike" => (Self::StringLike, false),
            "StringNotLike" => (Self::StringLike, true),
            "Bool" => (Self::Bool, false),
            "BinaryEquals" => (Self::Binary, false),
            "IpAddress" => (Self::IpAddress, false),
            "NotIpAddress" => (Self::IpAddress, true),
            "ArnEquals" | "ArnLike" => (Self::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Self::Arn, true),
            "Null" => (Self::Null, false),
            other => {
                if let Some(rest) = other.strip_prefix("Numeric") {
                    let (order, is_negated) = Order::named(rest)?;
                    (Self::Number(order), is_negated)
                } else {
                    let (order, is_negated) = Order::named(other.strip_prefix("Date")?)?;
                    (Self::Date(order), is_negated)
                }
            }
        })
    }

    /// Whether a value can be compared with anything.
    fn takes(self, value: &str) -> bool {
        match self {
            Self::String | Self::StringIgnoringCase | Self::StringLike | Self::Arn => true,
            Self::Number(_) => number(value).is_some(),
            Self::Date(_) => instant(value).is_some(),
            Self::Bool | Self::Null => ["true", "false"].iter().any(|known| value.eq_ignore_ascii_case(known)),
            Self::Binary => bytes(value).is_some(),
            Self::IpAddress => IpNetwork::parse(value).is_some(),
        }
    }

    fn has_variables(self) -> bool {
        match self {
            Self::String | Self::StringIgnoringCase | Self::StringLike | Self::Arn => true,
            Self::Number(_) | Self::Date(_) | Self::Bool | Self::Binary | Self::IpAddress | Self::Null => false,
        }
    }
}

impl Order {
    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equals, false),
            "NotEquals" => (Self::Equals, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _unknown => return None,
        })
    }

    fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equals => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// ISO 8601 (a date alone is its midnight in UTC), or seconds since the Unix epoch.
fn instant(text: &str) -> Option<OffsetDateTime> {
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Some(date.midnight().assume_utc());
    }
    match text.parse::<i64>() {
        Ok(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        Err(_) => OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok(),
    }
}
