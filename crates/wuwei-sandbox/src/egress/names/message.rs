//! As much of DNS messages as is needed to know what was asked and which addresses were answered.
//!
//! Source: RFC 1035, section 4. Everything here comes from functions or from the network: nothing is believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER_BYTES: usize = 12;
/// The answer bit, and in the same byte the kind of request.
const IS_ANSWER: u8 = 0x80;
const KIND_OF_REQUEST: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
const KIND_A: u16 = 1;
const KIND_AAAA: u16 = 28;
/// The two bits that make a pointer of a length.
const POINTER: u8 = 0xc0;
const NAME_BYTES_MAX: usize = 255;
/// Records of one answer that are looked at; more than fit a message of 64 KiB with anything in them.
const RECORDS_MAX: u16 = 4_096;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Labels with dots between them, in lower case; a byte that is not printable ASCII is replaced.
    pub(super) name: String,
    /// Where the question ends in the message.
    end: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `SERVFAIL`: nobody could be asked.
    Failure,
    /// `REFUSED`: the asker may not know.
    Policy,
}

impl Question {
    /// Whether a message is the answer to this one: same number, same question.
    pub(super) fn is_answered_by(&self, asked: &[u8], answer: &[u8]) -> bool {
        let is_answer = answer.get(2).is_some_and(|flags| flags & IS_ANSWER != 0);
        let same_question = match (asked.get(HEADER_BYTES..self.end), answer.get(HEADER_BYTES..self.end)) {
            (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
            (_, _) => false,
        };
        is_answer && asked.get(..2) == answer.get(..2) && number(answer, 4) == Some(1) && same_question
    }
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
}

/// Reads a query with exactly one question.
pub(super) fn parse_question(message: &[u8]) -> Option<Question> {
    let flags = message.get(2)?;
    if flags & (IS_ANSWER | KIND_OF_REQUEST) != 0 || number(message, 4)? != 1 {
        return None;
    }
    let mut name = String::new();
    let mut at = HEADER_BYTES;
    loop {
        let length = *message.get(at)?;
        at += 1;
        match length {
            0 => break,
            // A question has nothing before it that it could point to.
            pointer if pointer & POINTER != 0 => return None,
            length => {
                let label = message.get(at..at + usize::from(length))?;
                at += label.len();
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| match byte.to_ascii_lowercase() {
                    // A dot inside of a label must not look like one between two.
                    byte if byte.is_ascii_graphic() && byte != b'.' => char::from(byte),
                    _ => char::REPLACEMENT_CHARACTER,
                }));
            }
        }
        if at - HEADER_BYTES > NAME_BYTES_MAX {
            return None;
        }
    }
    let end = at + 4;
    (message.len() >= end).then_some(Question { name, end })
}

/// The addresses of an answer with the seconds for which they hold; nothing when it cannot be read.
pub(super) fn addresses(answer: &[u8], question: &Question) -> Option<Vec<(IpAddr, u32)>> {
    let mut found = Vec::new();
    let mut at = question.end;
    for _ in 0..number(answer, 6)?.min(RECORDS_MAX) {
        at = after_name(answer, at)?;
        let kind = number(answer, at)?;
        let seconds = u32::from_be_bytes(answer.get(at + 4..at + 8)?.try_into().ok()?);
        let length = usize::from(number(answer, at + 8)?);
        let data = answer.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        match kind {
            KIND_A => found.push((Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(), seconds)),
            KIND_AAAA => found.push((Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(), seconds)),
            _other => {}
        }
    }
    Some(found)
}

/// The position behind a name, which may end in a pointer; pointers are not followed.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            pointer if pointer & POINTER == POINTER => return Some(at + 2),
            wrong if wrong & POINTER != 0 => return None,
            length => at += 1 + usize::from(length),
        }
    }
}

pub(super) fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// An answer without records that sends the asker to a connection.
pub(super) fn truncated(query: &[u8], question: &Question) -> Vec<u8> {
    empty(query, question, TRUNCATED, 0)
}

/// An answer that there is none.
pub(super) fn refuse(query: &[u8], question: &Question, refusal: Refusal) -> Vec<u8> {
    let code = match refusal {
        Refusal::Failure => 2,
        Refusal::Policy => 5,
    };
    empty(query, question, 0, code)
}

fn empty(query: &[u8], question: &Question, flags: u8, code: u8) -> Vec<u8> {
    let mut answer = query.get(..question.end).unwrap_or_default().to_vec();
    if let Some(header) = answer.first_chunk_mut::<HEADER_BYTES>() {
        header[2] = IS_ANSWER | flags | (header[2] & RECURSION_DESIRED);
        header[3] = RECURSION_AVAILABLE | code;
        header[6..].fill(0);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::{Refusal, addresses, is_truncated, parse_question, refuse, truncated};

    fn query(name: &str) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend_from_slice(label.as_bytes());
        }
        message.extend_from_slice(&[0, 0, 1, 0, 1]);
        message
    }

    fn answer(query: &[u8], address: [u8; 4]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2] |= 0x80;
        message[7] = 2;
        // An alias first, then its address.
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'x', 0xc0, 12]);
        message.extend_from_slice(&[1, b'x', 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4]);
        message.extend_from_slice(&address);
        message
    }

    #[test]
    fn questions_are_read_and_answers_to_others_are_not_theirs() {
        let asked = query("DB.Example.com");
        let question = parse_question(&asked).unwrap();
        assert_eq!(question.name, "db.example.com");
        let reply = answer(&asked, [203, 0, 113, 9]);
        assert!(question.is_answered_by(&asked, &reply));
        assert_eq!(addresses(&reply, &question).unwrap(), [("203.0.113.9".parse().unwrap(), 256)]);
        let mut other = reply.clone();
        other[0] = 0;
        assert!(!question.is_answered_by(&asked, &other));
        assert!(!question.is_answered_by(&asked, &answer(&query("db.example.org"), [1, 1, 1, 1])));
        assert!(!question.is_answered_by(&asked, &asked));
        assert!(parse_question(&reply).is_none());
    }

    #[test]
    fn a_dot_inside_of_a_label_is_not_taken_for_the_end_of_it() {
        let mut asked = query("aXexample.com");
        asked[14] = b'.';
        assert!(parse_question(&asked).unwrap().name.starts_with("a\u{fffd}example"));
    }

    #[test]
    fn refusals_keep_number_and_question_only() {
        let mut asked = query("a.b");
        let question = parse_question(&asked).unwrap();
        asked.extend_from_slice(b"additional records");
        let refused = refuse(&asked, &question, Refusal::Policy);
        assert_eq!(refused.len(), question.end);
        assert_eq!(refused[..8], [0x12, 0x34, 0x81, 0x85, 0, 1, 0, 0]);
        assert!(is_truncated(&truncated(&asked, &question)));
    }

    #[test]
    fn no_cut_or_changed_message_can_do_harm() {
        let asked = query("db.example.com");
        let question = parse_question(&asked).unwrap();
        let reply = answer(&asked, [203, 0, 113, 9]);
        for length in 0..reply.len() {
            let cut = &reply[..length];
            assert!(addresses(cut, &question).is_none_or(|found| found.is_empty()) || length == reply.len());
            drop(parse_question(cut));
        }
        for position in 0..reply.len() {
            for value in [0, 0x3f, 0x80, 0xc0, 0xff] {
                let mut changed = reply.clone();
                changed[position] = value;
                drop((addresses(&changed, &question), parse_question(&changed)));
            }
        }
    }
}
