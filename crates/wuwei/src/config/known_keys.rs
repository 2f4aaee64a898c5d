use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Least similarity (0 to 1) at which a known key is offered for an unknown one.
const RESEMBLES: f64 = 0.7;

/// Parses TOML whose top level may only have `known` keys; `file` names it in messages.
///
/// An unknown key is an error that names the nearest known one.
pub(crate) fn parse_table<T: DeserializeOwned>(text: &str, known: &[&str], file: &str) -> Result<T, Failure> {
    let table: toml::Table =
        toml::from_str(text).map_err(|error| Failure::usage(format!("cannot parse `{file}`")).because(error))?;
    for key in table.keys() {
        if !known.contains(&key.as_str()) {
            return Err(Failure::usage(format!("unknown key `{key}` in `{file}`")).hint(advice(key, known)));
        }
    }
    // From the text once more, so that an error points at its line.
    toml::from_str(text).map_err(|error| Failure::usage(format!("cannot parse `{file}`")).because(error))
}

fn advice(key: &str, known: &[&str]) -> String {
    let scored = known.iter().map(|candidate| (strsim::jaro_winkler(key, candidate), candidate));
    match scored.max_by(|(left, _), (right, _)| left.total_cmp(right)) {
        Some((score, nearest)) if score >= RESEMBLES => format!("did you mean `{nearest}`?"),
        Some(_) | None => format!("known keys: {}", known.join(", ")),
    }
}
