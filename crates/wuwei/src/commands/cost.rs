use http::Method;
use serde_json::Value;

use super::Session;
use crate::arguments::{CostGrouping, CostOptions};
use crate::client::{Client, Question, encode};
use crate::failure::{Exit, Failure};
use crate::output::FAINT;

/// Columns of the CSV, and where they are in a row of the answer.
const CSV: &[(&str, &str)] = &[
    ("requests", "/requests"),
    ("errors", "/errors"),
    ("cold_starts", "/cold_starts"),
    ("duration_ms", "/duration_ms"),
    ("init_ms", "/init_ms"),
    ("billed_ms", "/billed_ms"),
    ("cpu_ms", "/cpu_ms"),
    ("gb_seconds", "/gb_seconds"),
    ("max_memory_bytes", "/max_memory_bytes"),
    ("aws_usd", "/aws_usd/total"),
];

/// Shows what functions used and what AWS would have charged for it.
pub(crate) async fn run(session: &Session, options: CostOptions) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let by = match options.by {
        CostGrouping::Function => "function",
        CostGrouping::Day => "day",
    };
    let mut path = format!("/_wuwei/v1/cost?by={by}");
    for (name, day) in [("from", &options.from), ("to", &options.to)] {
        if let Some(day) = day {
            path = format!("{path}&{name}={}", encode(day));
        }
    }
    let answer = client.ask(Question::new(Method::GET, path)).await?.json()?;
    let console = session.console;
    let empty = Vec::new();
    let rows = answer.get("rows").and_then(Value::as_array).unwrap_or(&empty);
    if console.is_json() {
        console.json(&answer)?;
    } else if options.csv {
        console.line(&csv_line(std::iter::once(by).chain(CSV.iter().map(|(name, _)| *name))))?;
        for row in rows {
            let cells: Vec<String> = CSV.iter().map(|(_, pointer)| text(row, pointer)).collect();
            let title = text(row, &format!("/{by}"));
            console.line(&csv_line(std::iter::once(title.as_str()).chain(cells.iter().map(String::as_str))))?;
        }
    } else if rows.is_empty() {
        console.remark(&format!("nothing ran from {} to {} (UTC)", text(&answer, "/from"), text(&answer, "/to")));
    } else {
        let heading = by.to_uppercase();
        let headings = [&heading, "REQUESTS", "ERRORS", "COLD", "BILLED", "GB-SECONDS", "CPU", "AWS PRICE"];
        let mut lines: Vec<Vec<String>> = rows.iter().map(|row| cells(&text(row, &format!("/{by}")), row)).collect();
        lines.extend(answer.get("total").map(|total| cells("total", total)));
        console.table(&headings, &lines)?;
        let (from, to) = (text(&answer, "/from"), text(&answer, "/to"));
        let (source, date) = (text(&answer, "/prices/source"), text(&answer, "/prices/date"));
        console.remark(&format!("{FAINT}{from} to {to} (UTC); price: {source}, read {date}{FAINT:#}"));
    }
    Ok(Exit::Done)
}

/// The cells of a row for people: rounded, with units.
fn cells(title: &str, row: &Value) -> Vec<String> {
    let seconds = |pointer: &str| match text(row, pointer).parse::<f64>() {
        Ok(milliseconds) => format!("{:.3} s", milliseconds / 1_000.0),
        Err(_) => "-".to_owned(),
    };
    let rounded = |pointer: &str, digits: usize| match text(row, pointer).parse::<f64>() {
        Ok(number) => format!("{number:.digits$}"),
        Err(_) => "-".to_owned(),
    };
    vec![
        title.to_owned(),
        text(row, "/requests"),
        text(row, "/errors"),
        text(row, "/cold_starts"),
        seconds("/billed_ms"),
        rounded("/gb_seconds", 6),
        seconds("/cpu_ms"),
        format!("${}", rounded("/aws_usd/total", 9)),
    ]
}

/// A number or a text, as it stands.
fn text(row: &Value, pointer: &str) -> String {
    match row.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => "-".to_owned(),
    }
}

/// A line of RFC 4180. Names and numbers need no quotes; what might is quoted all the same.
fn csv_line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let needs_quotes = |cell: &str| cell.contains(['"', ',', '\n', '\r']);
    let quoted =
        |cell: &str| if needs_quotes(cell) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() };
    cells.map(quoted).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{cells, csv_line};
    use serde_json::json;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(csv_line(["f", "1.5", "a,b", "say \"no\""].into_iter()), r#"f,1.5,"a,b","say ""no""""#);
    }

    #[test]
    fn people_see_rounded_numbers_with_units() {
        let row = json!({
            "requests": 3, "errors": 0, "cold_starts": 1, "billed_ms": 1500, "gb_seconds": "0.1875",
            "cpu_ms": "12.345", "aws_usd": { "total": "0.0000037250063" },
        });
        let expected = ["f", "3", "0", "1", "1.500 s", "0.187500", "0.012 s", "$0.000003725"];
        assert_eq!(cells("f", &row), expected);
    }
}
