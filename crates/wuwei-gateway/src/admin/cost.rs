//! `GET cost`: what functions used, from the ledger, and what AWS would have charged for it.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use wuwei_model::service::Access;
use wuwei_recorder::{AWS_LIST_PRICE, Usage};

use super::Request;
use crate::auth::permits;
use crate::lambda::ApiError;
use crate::wire::Answer;

/// What the rows of an answer stand for.
#[derive(Clone, Copy)]
enum Grouping {
    Function,
    Day,
}

/// Sums of the functions of the caller's account that the caller may read; from the first day of the month to today
/// unless the request says otherwise. Days are in UTC, `from` and `to` included.
pub(super) async fn answer(request: &Request<'_>) -> Result<Answer, ApiError> {
    let today = OffsetDateTime::now_utc().date();
    let last = day(request, "to")?.unwrap_or(today);
    let first = day(request, "from")?.unwrap_or_else(|| last.replace_day(1).unwrap_or(last));
    if first > last {
        return Err(ApiError::validation("from must not be after to".to_owned()));
    }
    let grouping = match request.query("by") {
        None | Some("function") => Grouping::Function,
        Some("day") => Grouping::Day,
        Some(_) => return Err(ApiError::validation("by must be function or day".to_owned())),
    };
    let rows = request.exchange.parts.recorder.usage(first, last).await;
    let rows = rows.map_err(|error| ApiError::platform(&error))?;
    let (mut groups, mut total) = (BTreeMap::<String, Usage>::new(), Usage::default());
    for row in rows {
        let is_own = row.function.account == request.principal.account;
        if is_own && permits(&request.principal, Access::Read, Some(&row.function.name)) {
            let name = match grouping {
                Grouping::Function => row.function.name,
                Grouping::Day => date_text(row.day),
            };
            groups.entry(name).or_default().add(&row.usage);
            total.add(&row.usage);
        }
    }
    let title = match grouping {
        Grouping::Function => "function",
        Grouping::Day => "day",
    };
    let rows = groups.iter().map(|(name, usage)| {
        let mut row = document(usage);
        row[title] = json!(name);
        row
    });
    let answer = json!({
        "from": date_text(first),
        "to": date_text(last),
        "by": title,
        "rows": rows.collect::<Vec<_>>(),
        "total": document(&total),
        "prices": {
            "currency": "USD",
            "request": dollars(AWS_LIST_PRICE.request),
            "gb_second_x86_64": dollars(AWS_LIST_PRICE.x86_gb_second),
            "gb_second_arm64": dollars(AWS_LIST_PRICE.arm_gb_second),
            "storage_gb_second": dollars(AWS_LIST_PRICE.storage_gb_second),
            "source": AWS_LIST_PRICE.source,
            "date": AWS_LIST_PRICE.date,
        },
    });
    Ok(Answer::json(StatusCode::OK, &answer))
}

fn document(usage: &Usage) -> Value {
    let price = AWS_LIST_PRICE.price(usage);
    // Nothing that runs uses no memory: without control groups there is no meter.
    let is_metered = usage.peak_bytes > 0 || usage.requests == 0;
    json!({
        "requests": usage.requests,
        "errors": usage.errors,
        "cold_starts": usage.cold_starts,
        "duration_ms": thousandths(usage.duration_us),
        "init_ms": thousandths(usage.init_us),
        "billed_ms": whole(usage.billed_ms),
        "cpu_ms": is_metered.then(|| thousandths(usage.cpu_us)),
        "mb_ms": whole(usage.mb_ms()),
        "gb_seconds": gb_seconds(usage.mb_ms()),
        "max_memory_bytes": is_metered.then_some(usage.peak_bytes),
        "aws_usd": {
            "requests": dollars(price.requests),
            "duration": dollars(price.duration),
            "storage": dollars(price.storage),
            "total": dollars(price.total()),
        },
    })
}

/// A day as the request gives it.
fn day(request: &Request<'_>, name: &str) -> Result<Option<Date>, ApiError> {
    let Some(text) = request.query(name) else { return Ok(None) };
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    day.map(Some).map_err(|_error| ApiError::validation(format!("{name} must be a day, for example 2026-11-20")))
}

fn date_text(day: Date) -> String {
    day.format(format_description!("[year]-[month]-[day]")).expect("dates have all three parts")
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// MB·ms as GB·s, exactly: a GB is 1,024 MB, so that there are at most thirteen digits after the point.
fn gb_seconds(mb_ms: u128) -> String {
    decimal(mb_ms * 10_000_000_000 / 1_024, 13)
}

/// Microseconds as milliseconds, exactly.
fn thousandths(number: u128) -> String {
    decimal(number, 3)
}

/// Millionths of a millionth of a dollar as dollars, exactly.
fn dollars(number: u128) -> String {
    decimal(number, 12)
}

/// Exact numbers go out as text: a client's floating point would round them. Without needless zeros.
fn decimal(number: u128, digits: u32) -> String {
    let unit = 10_u128.pow(digits);
    let width = usize::try_from(digits).unwrap_or(0);
    let text = format!("{}.{:0width$}", number / unit, number % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{decimal, document, gb_seconds};
    use wuwei_recorder::Usage;

    #[test]
    fn numbers_are_exact_text() {
        assert_eq!(decimal(0, 3), "0");
        assert_eq!(decimal(1, 12), "0.000000000001");
        assert_eq!(decimal(12_300, 3), "12.3");
        assert_eq!(decimal(100_000, 3), "100");
        assert_eq!(gb_seconds(1), "0.0000009765625");
        assert_eq!(gb_seconds(1_024_000), "1");
        assert_eq!(gb_seconds(128 * 13), "0.001625");
    }

    #[test]
    fn a_row_has_what_was_used_and_its_price() {
        let usage = Usage { requests: 2, billed_ms: 1_000, x86_mb_ms: 1_024_000, duration_us: 1, ..Usage::default() };
        let row = document(&usage);
        assert_eq!((&row["gb_seconds"], &row["duration_ms"]), (&"1".into(), &"0.001".into()));
        assert_eq!(row["aws_usd"]["total"], "0.0000170667");
        assert_eq!(row["aws_usd"]["requests"], "0.0000004");
    }

    #[test]
    fn what_nothing_measured_is_null_and_not_zero() {
        let row = document(&Usage { requests: 1, billed_ms: 1, ..Usage::default() });
        assert!(row["max_memory_bytes"].is_null() && row["cpu_ms"].is_null(), "{row}");
        let row = document(&Usage { requests: 1, peak_bytes: 9, cpu_us: 5, ..Usage::default() });
        assert_eq!((&row["max_memory_bytes"], &row["cpu_ms"]), (&9.into(), &"0.005".into()));
        assert_eq!(document(&Usage::default())["max_memory_bytes"], 0);
    }
}
