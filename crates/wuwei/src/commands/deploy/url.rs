use http::Method;
use serde_json::{Map, Value, json};

use crate::arguments::{UrlAuth, UrlMode};
use crate::client::{Client, Question, function_path, url_path};
use crate::failure::{Exit, Failure};

/// Gives the function a URL, or brings the one that it has to what is desired; returns its address.
///
/// A URL that anybody may call gets the two permissions that it takes, under the names that AWS's console gives them.
pub(super) async fn ensure(
    client: &Client,
    name: &str,
    auth: UrlAuth,
    mode: Option<UrlMode>,
) -> Result<String, Failure> {
    let mut wanted = Map::new();
    wanted.insert("AuthType".to_owned(), json!(auth.as_str()));
    if let Some(mode) = mode {
        wanted.insert("InvokeMode".to_owned(), json!(mode.as_str()));
    }
    let url = match client.try_ask(Question::new(Method::GET, url_path(name))).await? {
        Ok(answer) => {
            let current = answer.json()?;
            if wanted.iter().all(|(member, value)| current.get(member) == Some(value)) {
                current
            } else {
                client.ask(Question::new(Method::PUT, url_path(name)).json(&wanted)?).await?.json()?
            }
        }
        Err(refusal) if refusal.is_not_found() => {
            client.ask(Question::new(Method::POST, url_path(name)).json(&wanted)?).await?.json()?
        }
        Err(refusal) => return Err(refusal.into_failure()),
    };
    match auth {
        UrlAuth::None => {
            let condition = ("FunctionUrlAuthType", json!("NONE"));
            allow(client, name, "FunctionURLAllowPublicAccess", "lambda:InvokeFunctionUrl", condition).await?;
            let condition = ("InvokedViaFunctionUrl", json!(true));
            allow(client, name, "FunctionURLAllowInvokeAction", "lambda:InvokeFunction", condition).await?;
        }
        // Keys of this server may call what they may invoke.
        UrlAuth::AwsIam => {}
    }
    address(&url)
}

/// The address in a `FunctionUrlConfig`.
pub(crate) fn address(config: &Value) -> Result<String, Failure> {
    let address = config.get("FunctionUrl").and_then(Value::as_str).map(str::to_owned);
    address.ok_or_else(|| Failure::new(Exit::Refused, "cannot find the address of the URL in the server's answer"))
}

/// Adds a permission for everybody, unless it is there.
async fn allow(
    client: &Client,
    name: &str,
    statement_id: &str,
    action: &str,
    (condition, value): (&str, Value),
) -> Result<(), Failure> {
    let mut members = Map::new();
    members.insert("StatementId".to_owned(), json!(statement_id));
    members.insert("Action".to_owned(), json!(action));
    members.insert("Principal".to_owned(), json!("*"));
    members.insert(condition.to_owned(), value);
    let question = Question::new(Method::POST, function_path(name, "/policy")).json(&members)?;
    match client.try_ask(question).await? {
        Ok(_statement) => Ok(()),
        Err(refusal) if refusal.is_taken_statement() => Ok(()),
        Err(refusal) => Err(refusal.into_failure()),
    }
}
