//! `[ip, user, status = 4*, …, bytes > 1000]`: conditions on events of columns. A column is a word, or what stands
//! in `[ ]` or in double quotation marks.

use super::reader::Reader;
use super::value::{Comparison, Operand};
use super::{DEPTH_MAX, InvalidFilterPatternError};

#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug)]
enum Column {
    /// `...`: any number of columns.
    Rest,
    /// One column, of which this holds.
    One(Condition),
}

#[derive(Debug)]
enum Condition {
    Anything,
    All(Vec<Self>),
    Any(Vec<Self>),
    Compare(Comparison, Operand),
}

pub(super) fn parse(text: &str) -> Result<Columns, InvalidFilterPatternError> {
    let mut reader = Reader::new(text);
    reader.expect("[")?;
    let mut columns = Vec::new();
    loop {
        columns.push(if reader.take("...") { Column::Rest } else { Column::One(any(&mut reader, 0)?) });
        if reader.take("]") {
            break;
        }
        reader.expect(",")?;
    }
    reader.skip_space();
    if !reader.is_empty() {
        return Err(InvalidFilterPatternError("nothing after `]`"));
    }
    if columns.iter().filter(|column| matches!(column, Column::Rest)).count() > 1 {
        return Err(InvalidFilterPatternError("one `...` at most"));
    }
    Ok(Columns(columns))
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
    reader.skip_space();
    reader.take_while(|next| next.is_alphanumeric() || "_-*".contains(next));
    match Comparison::read(reader) {
        Some(comparison) => Ok(Condition::Compare(comparison, Operand::read(reader, "[](),&|")?)),
        None => Ok(Condition::Anything),
    }
}

impl Columns {
    pub(super) fn matches(&self, message: &str) -> bool {
        let found = split(message);
        let rest = self.0.iter().position(|column| matches!(column, Column::Rest));
        let (before, after) = match rest {
            Some(position) => (self.0.get(..position), self.0.get(position + 1..)),
            None => (Some(self.0.as_slice()), None),
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let wanted = before.len() + after.len();
        if found.len() < wanted || (rest.is_none() && found.len() != wanted) {
            return false;
        }
        let tail = found.get(found.len() - after.len()..).unwrap_or_default();
        let pairs = before.iter().zip(&found).chain(after.iter().zip(tail));
        pairs.into_iter().all(|(column, text)| match column {
            Column::Rest => true,
            Column::One(condition) => condition.holds(text),
        })
    }
}

impl Condition {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(text)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(text)),
            Self::Compare(comparison, operand) => operand.compare(*comparison, text),
        }
    }
}

/// The columns of an event.
fn split(message: &str) -> Vec<&str> {
    let mut columns = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let closing = match rest.chars().next() {
            Some('"') => Some('"'),
            Some('[') => Some(']'),
            Some(_) | None => None,
        };
        let enclosed = closing.and_then(|mark| {
            let inner = rest.get(1..)?;
            let end = inner.find(mark)?;
            Some((inner.get(..end)?, inner.get(end + 1..)?))
        });
        let (column, after) = enclosed.unwrap_or_else(|| rest.split_once(char::is_whitespace).unwrap_or((rest, "")));
        columns.push(column);
        rest = after.trim_start();
    }
    columns
}
