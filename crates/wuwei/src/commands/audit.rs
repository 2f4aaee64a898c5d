use http::Method;
use serde::{Deserialize, Serialize};

use super::Session;
use super::logs::milliseconds_before_now;
use crate::arguments::AuditOptions;
use crate::client::{Client, Question};
use crate::failure::{Exit, Failure};

/// One call, as the server describes it and `--json` prints it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// RFC 3339.
    time: String,
    request_id: String,
    account: String,
    /// ARN; absent when the caller was not believed.
    principal: Option<String>,
    access_key_id: Option<String>,
    source: String,
    service: String,
    /// Absent when the call was refused before it was known.
    action: Option<String>,
    resource: Option<String>,
    status: u16,
    error: Option<String>,
    /// Calls of the same caller before this one that changed nothing and were counted only.
    left_out: u64,
}

/// Shows who did what.
pub(crate) async fn run(session: &Session, options: AuditOptions) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let since_ms = options.since.map_or(0, |age| milliseconds_before_now(age.as_millis()));
    let path = format!("/_wuwei/v1/audit?limit={}&since_ms={since_ms}", options.limit);
    let answer = client.ask(Question::new(Method::GET, path)).await?;
    let entries: Vec<Entry> = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(Exit::Refused, "cannot read the server's audit entries").because(error))?;
    let console = session.console;
    if console.is_json() {
        entries.iter().try_for_each(|entry| console.json(entry))?;
        return Ok(Exit::Done);
    }
    let row = |entry: Entry| {
        let mut result = entry.error.unwrap_or_else(|| entry.status.to_string());
        if entry.left_out > 0 {
            result = format!("{result} (and {} more before)", entry.left_out);
        }
        let action = format!("{}:{}", entry.service, entry.action.unwrap_or_default());
        let caller = entry.principal.or(entry.access_key_id).unwrap_or_default();
        vec![entry.time, caller, action, entry.resource.unwrap_or_default(), entry.source, result]
    };
    let rows: Vec<Vec<String>> = entries.into_iter().map(row).collect();
    console.table(&["TIME", "CALLER", "ACTION", "RESOURCE", "FROM", "RESULT"], &rows)?;
    Ok(Exit::Done)
}
