//! `${aws:username}` in resources and conditions.

use super::request::ContextKeys;

/// `arn:partition:service:region:account:resource`.
const ARN_PARTS: usize = 6;

/// Which version of the language a document is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// `2012-10-17`.
    WithVariables,
    /// `2008-10-17`, also when a document names none: `${` stands for itself.
    Plain,
}

/// A part of a pattern, once its variables have values.
///
/// A variable whose key the request does not have makes the whole pattern match nothing, unless it has a default
/// (`${key, 'default'}`): `None`. Documents of the older version of the language have no variables (`language`).
pub(super) fn resolve(pattern: &str, context: &ContextKeys, language: Language) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    match language {
        Language::WithVariables => {}
        Language::Plain => return Some(vec![Piece::Pattern(pattern.to_owned())]),
    }
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        pieces.push(Piece::Pattern(before.to_owned()));
        let (name, behind) = after.split_once('}')?;
        rest = behind;
        let (name, default) = match name.split_once(',') {
            Some((name, default)) => (name.trim(), Some(default.trim().trim_matches('\''))),
            None => (name.trim(), None),
        };
        pieces.push(Piece::Literal(match name {
            "*" | "?" | "$" => name.to_owned(),
            key => match context.get(key) {
                Some([value]) => value.clone(),
                Some(_) | None => default?.to_owned(),
            },
        }));
    }
    pieces.push(Piece::Pattern(rest.to_owned()));
    Some(pieces)
}

/// Text with wildcards, or text as it is.
pub(super) enum Piece {
    Pattern(String),
    Literal(String),
}

/// Whether pieces, one after the other, match a text. A value of a variable brings no wildcards.
pub(super) fn matches(pieces: &[Piece], text: &str) -> bool {
    if let [Piece::Pattern(pattern)] = pieces {
        return crate::glob_matches(pattern, text);
    }
    matches_symbols(&symbols_of(pieces), &text.chars().collect::<Vec<char>>())
}

fn symbols_of(pieces: &[Piece]) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Pattern(pattern) => symbols.extend(pattern.chars().map(|character| match character {
                '*' => Symbol::Any,
                '?' => Symbol::One,
                other => Symbol::Just(other),
            })),
            Piece::Literal(literal) => symbols.extend(literal.chars().map(Symbol::Just)),
        }
    }
    symbols
}

/// Whether pieces match an ARN, each of its six parts by itself: wildcards do not reach over colons.
pub(super) fn matches_arn(pieces: &[Piece], arn: &str) -> bool {
    let symbols = symbols_of(pieces);
    let colon = |symbol: &Symbol| *symbol == Symbol::Just(':');
    let wanted: Vec<&[Symbol]> = symbols.splitn(ARN_PARTS, colon).collect();
    let found: Vec<&str> = arn.splitn(ARN_PARTS, ':').collect();
    let is_match = |(wanted, found): (&&[Symbol], &&str)| matches_symbols(wanted, &found.chars().collect::<Vec<_>>());
    wanted.len() == ARN_PARTS && found.len() == ARN_PARTS && wanted.iter().zip(&found).all(is_match)
}

/// The text of pieces without wildcards in it.
pub(super) fn text_of(pieces: &[Piece]) -> String {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Pattern(text) | Piece::Literal(text) => text.as_str(),
    });
    texts.collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Any,
    One,
    Just(char),
}

fn matches_symbols(pattern: &[Symbol], text: &[char]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(character) = text.get(at_text) {
        match pattern.get(at_pattern) {
            Some(Symbol::Any) => {
                at_pattern += 1;
                retry = Some((at_pattern, at_text));
            }
            Some(symbol) if *symbol == Symbol::One || *symbol == Symbol::Just(*character) => {
                at_pattern += 1;
                at_text += 1;
            }
            Some(_) | None => {
                let Some((star, taken)) = retry else { return false };
                at_pattern = star;
                at_text = taken + 1;
                retry = Some((star, at_text));
            }
        }
    }
    pattern.iter().skip(at_pattern).all(|symbol| *symbol == Symbol::Any)
}
