use http::Method;
use serde_json::json;

use super::Session;
use crate::arguments::RmOptions;
use crate::client::{Client, Question, function_path};
use crate::failure::{Exit, Failure};

/// Removes a function and all its versions, or the one version that is named.
pub(crate) async fn run(session: &Session, options: RmOptions) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    if options.name.contains(':') {
        // To delete a version that is not there succeeds, as at AWS; who names one wants to know.
        client.ask(Question::new(Method::GET, function_path(&options.name, "/configuration"))).await?;
    }
    client.ask(Question::new(Method::DELETE, function_path(&options.name, ""))).await?;
    if session.console.is_json() {
        session.console.json(&json!({"removed": options.name}))?;
    } else {
        session.console.line(&format!("removed {}", options.name))?;
    }
    Ok(Exit::Done)
}
