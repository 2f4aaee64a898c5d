use std::time::SystemTime;

use http::Method;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::arguments::LogsOptions;
use crate::client::{Client, Pieces, Question, encode};
use crate::failure::{Exit, Failure};
use crate::output::{Console, FAINT};

/// One event of a function's log, as the server gives it and `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LogEvent {
    /// RFC 3339, UTC, milliseconds.
    time: String,
    /// Absent for what was written outside of an invocation.
    #[serde(default)]
    request_id: Option<String>,
    /// Who wrote it.
    level: String,
    /// The text, unprefixed; may have several lines.
    message: String,
}

/// Shows what a function wrote.
pub(crate) async fn run(session: &Session, options: LogsOptions) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let since_ms = options.since.map_or(0, |age| milliseconds_before_now(age.as_millis()));
    let path = format!("/_wuwei/v1/logs/{}", encode(&options.name));
    let range = format!("limit={}&since_ms={since_ms}", options.limit);
    if options.follow {
        // Refuses a function that is not there; a stream would wait for it for ever.
        client.ask(Question::new(Method::GET, format!("{path}?limit=0"))).await?;
        let new = client.follow(Question::new(Method::GET, format!("{path}?follow=1&{range}"))).await?;
        follow(session.console, new).await?;
    } else {
        let answer = client.ask(Question::new(Method::GET, format!("{path}?{range}"))).await?;
        let events: Vec<LogEvent> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        for event in events {
            print(session.console, &event)?;
        }
    }
    Ok(Exit::Done)
}

/// Prints events as they come, a line of JSON each.
async fn follow(console: Console, mut pieces: Pieces<'_>) -> Result<(), Failure> {
    let mut pending = Vec::new();
    while let Some(piece) = pieces.next().await? {
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                print(console, &serde_json::from_slice(&line).map_err(unreadable)?)?;
            }
        }
    }
    Ok(())
}

fn print(console: Console, event: &LogEvent) -> Result<(), Failure> {
    if console.is_json() {
        return console.json(event);
    }
    for line in event.message.lines() {
        console.line(&format!("{FAINT}{}{FAINT:#}  {line}", event.time))?;
    }
    Ok(())
}

pub(super) fn milliseconds_before_now(age_ms: u128) -> u64 {
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis());
    u64::try_from(now_ms.saturating_sub(age_ms)).unwrap_or(0)
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Refused, "cannot read the server's log events").because(error)
}
