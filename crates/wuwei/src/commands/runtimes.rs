use http::Method;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::client::{Client, Question};
use crate::failure::{Exit, Failure};

/// A runtime that the server can run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OfferedRuntime {
    /// AWS's spelling, for example `python3.11`.
    pub(crate) identifier: String,
    /// Interpreter on the server's host; nothing where the package brings its own executable.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Exact version of the interpreter.
    #[serde(default)]
    pub(crate) version: Option<String>,
}

/// Lists the runtimes that the server can run.
pub(crate) async fn run(session: &Session) -> Result<Exit, Failure> {
    let runtimes = offered(&Client::connect(session)?).await?;
    if session.console.is_json() {
        session.console.json(&runtimes)?;
        return Ok(Exit::Done);
    }
    let dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = runtimes
        .into_iter()
        .map(|runtime| vec![runtime.identifier, dash(runtime.version), dash(runtime.path)])
        .collect();
    session.console.table(&["RUNTIME", "VERSION", "INTERPRETER"], &rows)?;
    Ok(Exit::Done)
}

/// Asks the server what it can run.
pub(crate) async fn offered(client: &Client) -> Result<Vec<OfferedRuntime>, Failure> {
    let answer = client.ask(Question::new(Method::GET, "/_wuwei/v1/runtimes")).await?;
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(Exit::Refused, "cannot read the server's list of runtimes").because(error))
}
