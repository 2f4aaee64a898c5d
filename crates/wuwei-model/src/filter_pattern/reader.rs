//! Reads a pattern from left to right.

use super::InvalidFilterPatternError;
use super::value::Expression;

/// Regular expressions of a pattern: AWS's figure.
const EXPRESSIONS_MAX: u32 = 2;

pub(super) struct Reader<'text> {
    rest: &'text str,
    /// Regular expressions so far.
    expressions: u32,
}

impl<'text> Reader<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { rest: text, expressions: 0 }
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Takes a text that comes next, after white space.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word that comes next, in whatever case, where it ends as a word.
    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        self.skip_space();
        let is_next = self.rest.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        let after = self.rest.get(wanted.len()..).and_then(|rest| rest.chars().next());
        if !is_next || after.is_some_and(|next| next.is_alphanumeric() || next == '_') {
            return false;
        }
        self.rest = self.rest.get(wanted.len()..).unwrap_or_default();
        true
    }

    pub(super) fn expect(&mut self, wanted: &'static str) -> Result<(), InvalidFilterPatternError> {
        if self.take(wanted) { Ok(()) } else { Err(InvalidFilterPatternError(wanted)) }
    }

    /// Characters as long as they fit.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'text str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// The next character, whatever it is.
    pub(super) fn skip_one(&mut self) {
        let length = self.peek().map_or(0, char::len_utf8);
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    /// A regular expression, whose first `%` comes next.
    pub(super) fn expression(&mut self) -> Result<Expression, InvalidFilterPatternError> {
        self.expressions += 1;
        if self.expressions > EXPRESSIONS_MAX {
            return Err(InvalidFilterPatternError("two regular expressions at most"));
        }
        Expression::new(&self.enclosed('%')?)
    }

    /// What stands between two of a mark, the first of which comes next. A backslash takes a mark's meaning away.
    pub(super) fn enclosed(&mut self, mark: char) -> Result<String, InvalidFilterPatternError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            if character == mark {
                self.rest = self.rest.get(index + mark.len_utf8()..).unwrap_or_default();
                return Ok(text);
            }
            match (character, mark) {
                ('\\', '"') => match characters.next() {
                    Some((_, next @ ('"' | '\\'))) => text.push(next),
                    Some((_, next)) => text.extend(['\\', next]),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        Err(InvalidFilterPatternError("the end of what is quoted"))
    }
}
