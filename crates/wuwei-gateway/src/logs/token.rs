//! Tokens that lead from one page to the next. Clients hand them back as they are.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wuwei_recorder::{Direction, Position};

use super::error::LogsError;

/// Digits of a token of `GetLogEvents`, as AWS's have them.
const DIGITS: usize = 56;

fn refused() -> LogsError {
    LogsError::invalid("The specified nextToken is invalid.")
}

/// Where lists go on: behind this name.
pub(super) fn of_name(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The name in a token.
pub(super) fn name_in(token: Option<&str>) -> Result<Option<String>, LogsError> {
    let Some(token) = token else { return Ok(None) };
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.map(Some).ok_or_else(refused)
}

/// Where each function's log goes on.
pub(super) fn of_positions(positions: &BTreeMap<String, Position>) -> String {
    let plain: BTreeMap<&str, (i32, u32, u64)> =
        positions.iter().map(|(name, at)| (name.as_str(), (at.day, at.part, at.offset))).collect();
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&plain).unwrap_or_default())
}

/// The places in a token; none without one.
pub(super) fn positions_in(token: Option<&str>) -> Result<BTreeMap<String, Position>, LogsError> {
    let Some(token) = token else { return Ok(BTreeMap::new()) };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_error| refused())?;
    let plain: BTreeMap<String, (i32, u32, u64)> = serde_json::from_slice(&bytes).map_err(|_error| refused())?;
    Ok(plain.into_iter().map(|(name, (day, part, offset))| (name, Position { day, part, offset })).collect())
}

/// `f/<digits>/s` or `b/<digits>/s`.
pub(super) fn of_position(direction: Direction, at: Position) -> String {
    let letter = match direction {
        Direction::Forward => 'f',
        Direction::Backward => 'b',
    };
    let digits = format!("{:010}{:010}{:020}", at.day.max(0), at.part, at.offset);
    format!("{letter}/{digits:0>DIGITS$}/s")
}

/// The place in a token, and which way it leads.
pub(super) fn position_in(token: Option<&str>) -> Result<Option<(Direction, Position)>, LogsError> {
    let Some(token) = token else { return Ok(None) };
    let read = || {
        let (letter, rest) = token.split_once('/')?;
        let digits = rest.strip_suffix("/s").filter(|digits| digits.len() == DIGITS && digits.is_ascii())?;
        let direction = match letter {
            "f" => Direction::Forward,
            "b" => Direction::Backward,
            _other => return None,
        };
        let day = digits.get(DIGITS - 40..DIGITS - 30)?.parse().ok()?;
        let part = digits.get(DIGITS - 30..DIGITS - 20)?.parse().ok()?;
        let offset = digits.get(DIGITS - 20..)?.parse().ok()?;
        Some((direction, Position { day, part, offset }))
    };
    read().map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::{name_in, of_name, of_position, of_positions, position_in, positions_in};
    use std::collections::BTreeMap;
    use wuwei_recorder::{Direction, Position};

    #[test]
    fn tokens_are_read_back_and_others_refused() {
        assert_eq!(name_in(Some(&of_name("/aws/lambda/f"))).unwrap().as_deref(), Some("/aws/lambda/f"));
        let at = Position { day: 2_460_000, part: 7, offset: u64::MAX };
        for direction in [Direction::Forward, Direction::Backward] {
            for at in [at, Position::default(), Position::END] {
                assert_eq!(position_in(Some(&of_position(direction, at))).unwrap(), Some((direction, at)));
            }
        }
        let positions = BTreeMap::from([("f".to_owned(), at)]);
        assert_eq!(positions_in(Some(&of_positions(&positions))).unwrap(), positions);
        for wrong in
            ["", "x", "f/1/s", "f//s", "b/0", &format!("c/{}/s", "0".repeat(56)), &format!("f/{}/s", "é".repeat(28))]
        {
            assert!(position_in(Some(wrong)).is_err(), "{wrong}");
            assert!(positions_in(Some(wrong)).is_err(), "{wrong}");
        }
        name_in(Some("%")).unwrap_err();
    }
}
