use serde_json::{Map, Value};

use super::{Session, shell_quote};
use crate::client::Target;
use crate::failure::{Exit, Failure};

/// Prints the variables that point any AWS client at the server, ready for `eval`.
pub(crate) fn run(session: &Session) -> Result<Exit, Failure> {
    let variables = variables(&Target::locate(session)?);
    if session.console.is_json() {
        let object: Map<String, Value> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        session.console.json(&object)?;
    } else {
        for (name, value) in variables {
            session.console.raw(format!("export {name}={}", shell_quote(&value)).as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

fn variables(target: &Target) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", target.endpoint()),
        ("AWS_REGION", target.region.clone()),
        ("AWS_DEFAULT_REGION", target.region.clone()),
        ("AWS_ACCESS_KEY_ID", target.credentials.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", target.credentials.secret_access_key.clone()),
    ]
}
