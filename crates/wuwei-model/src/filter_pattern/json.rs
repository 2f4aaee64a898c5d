//! `{ $.field = value && … }`: conditions on events that are JSON.

use serde_json::Value;

use super::reader::Reader;
use super::value::{Comparison, Operand};
use super::{DEPTH_MAX, InvalidFilterPatternError};

#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// A field compared with a value.
    Compare(Selector, Comparison, Operand),
    IsTrue(Selector),
    IsFalse(Selector),
    IsNull(Selector),
    Exists(Selector),
    NotExists(Selector),
}

/// The way to a field: `$.a.b[0]['c']`.
#[derive(Debug)]
pub(super) struct Selector(Vec<Step>);

#[derive(Debug)]
enum Step {
    Field(String),
    Item(usize),
    /// `[*]` or `.*`.
    Every,
}

pub(super) fn parse(text: &str) -> Result<Condition, InvalidFilterPatternError> {
    let mut reader = Reader::new(text);
    reader.expect("{")?;
    let condition = any(&mut reader, 0)?;
    reader.expect("}")?;
    reader.skip_space();
    if reader.is_empty() { Ok(condition) } else { Err(InvalidFilterPatternError("nothing after `}`")) }
}

fn any(reader: &mut Reader<'_>, depth: usize) -> Result<Condition, InvalidFilterPatternError> {
    if depth > DEPTH_MAX {
        return Err(InvalidFilterPatternError("fewer parentheses"));
    }
    let mut conditions = vec![all(reader, depth)?];
    while reader.take("||") {
        conditions.push(all(reader, depth)?);
    }
    Ok(Condition::Any(conditions))
}

fn all(reader: &mut Reader<'_>, depth: usize) -> Result<Condition, InvalidFilterPatternError> {
    let mut conditions = vec![one(reader, depth)?];
    while reader.take("&&") {
        conditions.push(one(reader, depth)?);
    }
    Ok(Condition::All(conditions))
}

fn one(reader: &mut Reader<'_>, depth: usize) -> Result<Condition, InvalidFilterPatternError> {
    if reader.take("(") {
        let condition = any(reader, depth + 1)?;
        reader.expect(")")?;
        return Ok(condition);
    }
    let selector = Selector::read(reader)?;
    if reader.take_word("IS") {
        let known = [
            ("TRUE", Condition::IsTrue as fn(Selector) -> Condition),
            ("FALSE", Condition::IsFalse),
            ("NULL", Condition::IsNull),
        ];
        let found = known.into_iter().find(|(word, _)| reader.take_word(word));
        return found.map(|(_, make)| make(selector)).ok_or(InvalidFilterPatternError("TRUE, FALSE or NULL after IS"));
    }
    if reader.take_word("NOT") {
        if reader.take_word("EXISTS") {
            return Ok(Condition::NotExists(selector));
        }
        return Err(InvalidFilterPatternError("EXISTS after NOT"));
    }
    if reader.take_word("EXISTS") {
        return Ok(Condition::Exists(selector));
    }
    let comparison = Comparison::read(reader).ok_or(InvalidFilterPatternError("a comparison after a field"))?;
    Ok(Condition::Compare(selector, comparison, Operand::read(reader, "{}()&|")?))
}

impl Selector {
    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidFilterPatternError> {
        reader.expect("$")?;
        let mut steps = Vec::new();
        loop {
            match reader.peek() {
                Some('.') => {
                    reader.skip_one();
                    if reader.peek() == Some('*') {
                        reader.skip_one();
                        steps.push(Step::Every);
                        continue;
                    }
                    let name = reader.take_while(|next| next.is_alphanumeric() || "_-@/:".contains(next));
                    if name.is_empty() {
                        return Err(InvalidFilterPatternError("the name of a field after `.`"));
                    }
                    steps.push(Step::Field(name.to_owned()));
                }
                Some('[') => {
                    reader.skip_one();
                    reader.skip_space();
                    steps.push(match reader.peek() {
                        Some('*') => {
                            reader.skip_one();
                            Step::Every
                        }
                        Some(mark @ ('"' | '\'')) => Step::Field(reader.enclosed(mark)?),
                        Some(_) | None => {
                            let digits = reader.take_while(|next| next.is_ascii_digit());
                            Step::Item(digits.parse().map_err(|_error| InvalidFilterPatternError("an index in `[ ]`"))?)
                        }
                    });
                    reader.expect("]")?;
                }
                Some(_) | None => break,
            }
        }
        if steps.is_empty() { Err(InvalidFilterPatternError("a field after `$`")) } else { Ok(Self(steps)) }
    }

    /// Whether something that this leads to is as asked.
    fn any(&self, document: &Value, is_wanted: &dyn Fn(&Value) -> bool) -> bool {
        fn walk(steps: &[Step], value: &Value, is_wanted: &dyn Fn(&Value) -> bool) -> bool {
            let Some((step, rest)) = steps.split_first() else { return is_wanted(value) };
            match (step, value) {
                (Step::Field(name), Value::Object(fields)) => {
                    fields.get(name).is_some_and(|next| walk(rest, next, is_wanted))
                }
                (Step::Item(index), Value::Array(items)) => {
                    items.get(*index).is_some_and(|next| walk(rest, next, is_wanted))
                }
                (Step::Every, Value::Array(items)) => items.iter().any(|next| walk(rest, next, is_wanted)),
                (Step::Every, Value::Object(fields)) => fields.values().any(|next| walk(rest, next, is_wanted)),
                (Step::Field(_) | Step::Item(_) | Step::Every, _other) => false,
            }
        }
        walk(&self.0, document, is_wanted)
    }
}

impl Condition {
    pub(super) fn holds(&self, document: &Value) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(document)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(document)),
            Self::Compare(selector, comparison, operand) => selector.any(document, &|found| match found {
                Value::String(text) => operand.compare(*comparison, text),
                Value::Number(number) => operand.compare(*comparison, &number.to_string()),
                Value::Bool(value) => operand.compare(*comparison, if *value { "true" } else { "false" }),
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }),
            Self::IsTrue(selector) => selector.any(document, &|found| *found == Value::Bool(true)),
            Self::IsFalse(selector) => selector.any(document, &|found| *found == Value::Bool(false)),
            Self::IsNull(selector) => selector.any(document, &Value::is_null),
            Self::Exists(selector) => selector.any(document, &|_| true),
            Self::NotExists(selector) => !selector.any(document, &|_| true),
        }
    }
}
