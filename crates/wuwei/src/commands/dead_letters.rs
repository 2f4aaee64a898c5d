use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Session;
use crate::arguments::DeadLettersAction;
use crate::client::{Client, Question, encode};
use crate::failure::{Exit, Failure};
use crate::output::{Console, FAINT, STRONG};

const PATH: &str = "/_wuwei/v1/dead-letters";

/// Events of an answer.
#[derive(Serialize, Deserialize)]
struct Page {
    dead_letters: Vec<Letter>,
    next: Option<u64>,
}

/// An event that was given up, as the server describes it and `--json` prints it.
#[derive(Serialize, Deserialize)]
struct Letter {
    id: u64,
    function: String,
    condition: String,
    attempts: u8,
    /// RFC 3339.
    accepted: String,
    /// RFC 3339.
    given_up: String,
}

/// Lists, shows, runs again or removes events that were given up.
pub(crate) async fn run(session: &Session, action: DeadLettersAction) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let console = session.console;
    match action {
        DeadLettersAction::Ls { name } => list(&client, console, name.as_deref()).await?,
        DeadLettersAction::Show { id } => {
            let answer = client.ask(Question::new(Method::GET, format!("{PATH}/{id}"))).await?.json()?;
            if console.is_json() {
                console.json(&answer)?;
            } else {
                show(console, &answer)?;
            }
        }
        DeadLettersAction::Redrive { ids } => {
            for id in &ids {
                client.ask(Question::new(Method::POST, format!("{PATH}/{id}/redrive"))).await?;
                tell(console, "redriven", *id)?;
            }
        }
        DeadLettersAction::Rm { ids } => {
            for id in &ids {
                client.ask(Question::new(Method::DELETE, format!("{PATH}/{id}"))).await?;
                tell(console, "removed", *id)?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, console: Console, name: Option<&str>) -> Result<(), Failure> {
    let mut letters = Vec::new();
    let mut after = None;
    loop {
        let mut path = format!("{PATH}?limit=1000");
        if let Some(name) = name {
            path = format!("{path}&function={}", encode(name));
        }
        if let Some(after) = after {
            path = format!("{path}&after={after}");
        }
        let answer = client.ask(Question::new(Method::GET, path)).await?;
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::new(Exit::Refused, "cannot read the server's list of dead letters").because(error)
        })?;
        letters.extend(page.dead_letters);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if console.is_json() {
        return console.json(&letters);
    }
    if letters.is_empty() {
        console.remark(&format!("{FAINT}no event was given up{FAINT:#}"));
        return Ok(());
    }
    let row = |letter: Letter| {
        let Letter { id, function, condition, attempts, accepted, given_up } = letter;
        vec![id.to_string(), function, condition, attempts.to_string(), accepted, given_up]
    };
    let rows: Vec<Vec<String>> = letters.into_iter().map(row).collect();
    console.table(&["ID", "FUNCTION", "CONDITION", "ATTEMPTS", "ACCEPTED", "GIVEN UP"], &rows)
}

fn show(console: Console, letter: &Value) -> Result<(), Failure> {
    for (name, value) in letter.as_object().into_iter().flatten().filter(|(name, _)| *name != "payload") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        console.remark(&format!("{STRONG}{name}{STRONG:#}  {text}"));
    }
    console.line(letter.get("payload").and_then(Value::as_str).unwrap_or_default())
}

fn tell(console: Console, what: &str, id: u64) -> Result<(), Failure> {
    if console.is_json() { console.json(&json!({ what: id })) } else { console.line(&format!("{what} {id}")) }
}
