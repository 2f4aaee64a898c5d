//! Terms: words and phrases that an event has, or has not.

use super::InvalidFilterPatternError;
use super::reader::Reader;
use super::value::Expression;

#[derive(Debug, Default)]
pub(super) struct Terms {
    all: Vec<Term>,
    /// One of these, unless there are others: AWS does not look at them then.
    any: Vec<Term>,
    none: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Expression(Expression),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Expression(expression) => expression.is_in(message),
        }
    }
}

impl Terms {
    pub(super) fn matches(&self, message: &str) -> bool {
        let is_in = |term: &Term| term.is_in(message);
        if self.all.is_empty() && self.none.is_empty() {
            return self.any.is_empty() || self.any.iter().any(is_in);
        }
        self.all.iter().all(is_in) && !self.none.iter().any(is_in)
    }
}

pub(super) fn parse(text: &str) -> Result<Terms, InvalidFilterPatternError> {
    let mut reader = Reader::new(text);
    let mut terms = Terms::default();
    loop {
        reader.skip_space();
        if reader.is_empty() {
            return Ok(terms);
        }
        let list = match reader.peek() {
            Some('?') => &mut terms.any,
            Some('-') => &mut terms.none,
            Some(_) | None => &mut terms.all,
        };
        if matches!(reader.peek(), Some('?' | '-')) {
            reader.skip_one();
        }
        let term = match reader.peek() {
            Some('"') => Term::Text(reader.enclosed('"')?),
            Some('%') => Term::Expression(reader.expression()?),
            Some(_) | None => {
                let word = reader.take_while(|character| !character.is_whitespace());
                let is_plain =
                    |character: char| character.is_alphanumeric() || character == '_' || !character.is_ascii();
                if word.is_empty() || !word.chars().all(is_plain) {
                    return Err(InvalidFilterPatternError(
                        "terms of letters, digits and `_`, or in double quotation marks",
                    ));
                }
                Term::Text(word.to_owned())
            }
        };
        list.push(term);
    }
}
