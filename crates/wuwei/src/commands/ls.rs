use http::Method;
use serde_json::Value;

use super::Session;
use crate::client::{Client, Question, encode};
use crate::failure::{Exit, Failure};

/// Lists the functions.
pub(crate) async fn run(session: &Session) -> Result<Exit, Failure> {
    let functions = list(&Client::connect(session)?).await?;
    if session.console.is_json() {
        session.console.json(&functions)?;
    } else if functions.is_empty() {
        session.console.remark("no functions yet: `wuwei deploy DIR` makes one");
    } else {
        let rows: Vec<Vec<String>> = functions.iter().map(row).collect();
        session.console.table(&["NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "CODE", "MODIFIED"], &rows)?;
    }
    Ok(Exit::Done)
}

/// All pages of `ListFunctions`.
async fn list(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut functions = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let query = marker.as_ref().map_or_else(String::new, |marker| format!("&Marker={}", encode(marker)));
        let path = format!("/2015-03-31/functions/?MaxItems=50{query}");
        let mut page = client.ask(Question::new(Method::GET, path)).await?.json()?;
        if let Some(Value::Array(more)) = page.get_mut("Functions").map(Value::take) {
            functions.extend(more);
        }
        match page.get("NextMarker").and_then(Value::as_str) {
            // A server that gives the same marker again would keep us here for ever.
            Some(next) if !next.is_empty() && marker.as_deref() != Some(next) => marker = Some(next.to_owned()),
            Some(_) | None => return Ok(functions),
        }
    }
}

fn row(function: &Value) -> Vec<String> {
    let text = |key: &str| function.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let number = |key: &str| function.get(key).and_then(Value::as_u64).unwrap_or(0);
    vec![
        text("FunctionName"),
        text("Runtime"),
        text("Handler"),
        format!("{} MB", number("MemorySize")),
        format!("{} s", number("Timeout")),
        size(number("CodeSize")),
        text("LastModified"),
    ]
}

/// Bytes in the unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    if bytes < KIB {
        format!("{bytes} B")
    } else if bytes < MIB {
        format!("{}.{} KiB", bytes / KIB, bytes % KIB * 10 / KIB)
    } else {
        format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_read_naturally() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(52_428_800), "50.0 MiB");
    }
}
