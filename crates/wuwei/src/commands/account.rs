use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Session;
use crate::arguments::AccountAction;
use crate::client::{Client, Question};
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, STRONG};

const PATH: &str = "/_wuwei/v1/accounts";

/// An account, as the server describes it and `--json` prints it. `Debug` is left out: it may hold a secret.
#[derive(Serialize, Deserialize)]
struct Account {
    id: String,
    name: String,
    /// RFC 3339; absent for the first, which nobody has made.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    keys: u64,
    /// Only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    /// Only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
}

/// Makes or lists accounts.
pub(crate) async fn run(session: &Session, action: AccountAction) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    let console = session.console;
    match action {
        AccountAction::Create { id, name } => {
            let mut new = Map::from_iter([("name".to_owned(), Value::from(name))]);
            if let Some(id) = id {
                new.insert("id".to_owned(), id.into());
            }
            let question = Question::new(Method::POST, PATH).json(&new)?;
            let account: Account = serde_json::from_slice(&client.ask(question).await?.body).map_err(unreadable)?;
            if console.is_json() {
                console.json(&account)?;
            } else {
                let Account { id, access_key_id, secret_access_key, .. } = account;
                let (key, secret) = (access_key_id.unwrap_or_default(), secret_access_key.unwrap_or_default());
                console.line(&format!("{STRONG}account{STRONG:#}                {id}"))?;
                console.line(&format!("{STRONG}AWS_ACCESS_KEY_ID{STRONG:#}      {key}"))?;
                console.line(&format!("{STRONG}AWS_SECRET_ACCESS_KEY{STRONG:#}  {secret}"))?;
                console.remark(&format!("{FAINT}The secret is shown only now: keep it.{FAINT:#}"));
            }
        }
        AccountAction::Ls => {
            let answer = client.ask(Question::new(Method::GET, PATH)).await?;
            let accounts: Vec<Account> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
            if console.is_json() {
                console.json(&accounts)?;
            } else {
                let row = |account: Account| {
                    vec![account.id, account.name, account.keys.to_string(), account.created.unwrap_or_default()]
                };
                let rows: Vec<Vec<String>> = accounts.into_iter().map(row).collect();
                console.table(&["ACCOUNT", "NAME", "KEYS", "CREATED"], &rows)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Refused, "cannot read the server's description of an account").because(error)
}
