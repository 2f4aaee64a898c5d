//! Times as signatures write them.

use std::time::SystemTime;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const BASIC_TIME: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// `20150830T123600Z`.
pub(crate) fn basic_time(at: OffsetDateTime) -> String {
    let mut text = basic_date(at);
    text.push('T');
    for part in [at.hour(), at.minute(), at.second()] {
        push_two_digits(&mut text, part);
    }
    text.push('Z');
    text
}

/// `20150830`.
pub(crate) fn basic_date(at: OffsetDateTime) -> String {
    // By hand: each signature takes two of these, and a general formatter a microsecond.
    let mut text = String::with_capacity("20150830T123600Z".len());
    let years = at.year().rem_euclid(10_000);
    for part in [years / 100, years % 100] {
        push_two_digits(&mut text, u8::try_from(part).unwrap_or_default());
    }
    push_two_digits(&mut text, at.month().into());
    push_two_digits(&mut text, at.day());
    text
}

fn push_two_digits(text: &mut String, number: u8) {
    text.push(char::from(b'0' + number / 10 % 10));
    text.push(char::from(b'0' + number % 10));
}

/// Reads `20150830T123600Z`, or the form of an HTTP `Date` header.
pub(super) fn parse(text: &str) -> Option<OffsetDateTime> {
    let basic = PrimitiveDateTime::parse(text, BASIC_TIME).ok().map(PrimitiveDateTime::assume_utc);
    basic.or_else(|| OffsetDateTime::parse(text, &Rfc2822).ok().map(|at| at.to_offset(time::UtcOffset::UTC)))
}

/// The clock's time with the resolution of a signature: whole seconds.
pub(super) fn whole_seconds(now: SystemTime) -> OffsetDateTime {
    let now = OffsetDateTime::from(now);
    now.replace_nanosecond(0).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::{basic_date, basic_time, parse};

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["20150830T123600Z", "19700101T000000Z", "20991231T235959Z", "00010203T040506Z", "99991231T235959Z"]
        {
            let at = parse(text).unwrap();
            assert_eq!(basic_time(at), text);
            assert_eq!(basic_date(at), text.split('T').next().unwrap());
        }
    }
}
