//! Questions of hostile functions, and answers of hostile resolvers.

use super::message::{Refusal, addresses, is_truncated, parse_question, refuse, truncated};

/// A name (one byte), type, class, seconds, length, and an IPv4 address: no address takes less of a message.
const RECORD_BYTES_MIN: usize = 1 + 2 + 2 + 4 + 2 + 4;

/// The length of a question (16 bits), the question, and the answer of a resolver to it.
pub fn egress_names(input: &[u8]) {
    let Some((length, messages)) = input.split_first_chunk::<2>() else { return };
    let (query, answer) = messages.split_at(usize::from(u16::from_be_bytes(*length)).min(messages.len()));
    let Some(question) = parse_question(query) else { return };
    assert!(question.name.chars().count() <= 255, "a name of {} characters", question.name.chars().count());
    assert!(question.name.chars().all(|letter| letter.is_ascii_graphic() || letter == char::REPLACEMENT_CHARACTER));
    assert!(!question.name.bytes().any(|letter| letter.is_ascii_uppercase()));
    for (made, is_cut) in [
        (refuse(query, &question, Refusal::Policy), false),
        (refuse(query, &question, Refusal::Failure), false),
        (truncated(query, &question), true),
    ] {
        assert!(made.len() <= query.len() && made.len() <= 12 + 256 + 4, "{} bytes are made", made.len());
        assert!(question.is_answered_by(query, &made), "what is made is an answer to the question");
        assert_eq!(is_truncated(&made), is_cut);
        assert_eq!(addresses(&made, &question), Some(Vec::new()));
        assert!(parse_question(&made).is_none(), "an answer is taken for a question");
    }
    assert!(!question.is_answered_by(query, query), "a question is taken for its own answer");
    if question.is_answered_by(query, answer) {
        assert_eq!(answer.get(..2), query.get(..2));
    }
    if let Some(found) = addresses(answer, &question) {
        assert!(found.len() * RECORD_BYTES_MIN <= answer.len(), "{} addresses of {}", found.len(), answer.len());
    }
}
