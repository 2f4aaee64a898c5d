use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use crate::arguments::KeyAction;
use crate::client::{Client, Question, encode};
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, STRONG};

const PATH: &str = "/_wuwei/v1/keys";

/// An access key, as the server describes it and `--json` prints it. `Debug` is left out: it may hold the secret.
#[derive(Serialize, Deserialize)]
struct Key {
    #[serde(rename(deserialize = "id"))]
    access_key_id: String,
    /// Only in the answer that made the key.
    #[serde(rename(deserialize = "secret"), default, skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
    account: String,
    role: String,
    functions: String,
    /// RFC 3339.
    created: String,
}

/// Makes, lists or deletes access keys.
pub(crate) async fn run(session: &Session, action: KeyAction) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let console = session.console;
    match action {
        KeyAction::Create { role, functions } => {
            let question = Question::new(Method::POST, PATH).json(&json!({"role": role, "functions": functions}))?;
            let key: Key = serde_json::from_slice(&client.ask(question).await?.body).map_err(unreadable)?;
            if console.is_json() {
                console.json(&key)?;
            } else {
                console.line(&format!("{STRONG}AWS_ACCESS_KEY_ID{STRONG:#}      {}", key.access_key_id))?;
                let secret = key.secret_access_key.unwrap_or_default();
                console.line(&format!("{STRONG}AWS_SECRET_ACCESS_KEY{STRONG:#}  {secret}"))?;
                console.remark(&format!("{FAINT}The secret is shown only now: keep it.{FAINT:#}"));
            }
        }
        KeyAction::Ls => {
            let answer = client.ask(Question::new(Method::GET, PATH)).await?;
            let keys: Vec<Key> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
            if console.is_json() {
                console.json(&keys)?;
            } else {
                let row = |key: Key| vec![key.access_key_id, key.role, key.functions, key.account, key.created];
                let rows: Vec<Vec<String>> = keys.into_iter().map(row).collect();
                console.table(&["KEY", "ROLE", "FUNCTIONS", "ACCOUNT", "CREATED"], &rows)?;
            }
        }
        KeyAction::Rm { id } => {
            client.ask(Question::new(Method::DELETE, format!("{PATH}/{}", encode(&id)))).await?;
            if console.is_json() {
                console.json(&json!({"removed": id}))?;
            } else {
                console.line(&format!("removed {id}"))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Refused, "cannot read the server's description of a key").because(error)
}

#[cfg(test)]
mod tests {
    use super::Key;
    use serde_json::json;

    #[test]
    fn keys_are_printed_under_the_names_of_the_aws_variables() {
        let described = json!({"id": "AKIA", "account": "1", "role": "viewer", "functions": "*", "created": "now"});
        let key: Key = serde_json::from_value(described).unwrap();
        let printed = serde_json::to_value(&key).unwrap();
        assert_eq!(
            printed,
            json!({"access_key_id": "AKIA", "account": "1", "role": "viewer", "functions": "*", "created": "now"})
        );
    }
}
