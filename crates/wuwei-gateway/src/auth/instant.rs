//! Times as signatures write them.

use std::time::SystemTime;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const BASIC_TIME: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const BASIC_DATE: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]");

/// `20150830T123600Z`.
pub(crate) fn basic_time(at: OffsetDateTime) -> String {
    at.format(BASIC_TIME).expect("a valid time has all the format's components")
}

/// `20150830`.
pub(crate) fn basic_date(at: OffsetDateTime) -> String {
    at.format(BASIC_DATE).expect("a valid time has all the format's components")
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
