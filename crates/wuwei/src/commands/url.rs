use http::Method;
use serde_json::Value;

use super::Session;
use super::deploy::address;
use crate::arguments::UrlOptions;
use crate::client::{Client, Question, url_path};
use crate::failure::{Exit, Failure};

/// Prints the URL of a function, and nothing else, so that a shell can use it.
pub(crate) async fn run(session: &Session, options: UrlOptions) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let name = &options.name;
    let config: Value = match client.try_ask(Question::new(Method::GET, url_path(name))).await? {
        Ok(answer) => answer.json()?,
        Err(refusal) if refusal.is_not_found() => {
            return Err(Failure::new(Exit::Refused, format!("there is no function `{name}` with a URL"))
                .hint("`wuwei deploy DIR --url` gives a function one"));
        }
        Err(refusal) => return Err(refusal.into_failure()),
    };
    if session.console.is_json() {
        session.console.json(&config)?;
    } else {
        session.console.line(&address(&config)?)?;
    }
    Ok(Exit::Done)
}
