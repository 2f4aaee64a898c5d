//! Access keys: made, listed and removed by administrators.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wuwei_store::{AccessKey, Role};

use super::Request;
use crate::lambda::ApiError;
use crate::wire::Answer;

/// What a new key is to be.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[serde(default = "deployer")]
    role: String,
    #[serde(default = "every_function")]
    functions: String,
}

fn deployer() -> String {
    "deployer".to_owned()
}

fn every_function() -> String {
    "*".to_owned()
}

pub(super) async fn create(request: &Request<'_>) -> Result<Answer, ApiError> {
    check_admin(request, "wuwei:CreateKey")?;
    let (role, functions) = read(&request.body)?;
    let keys = request.exchange.parts.store.access_keys();
    let key = keys.create(&request.principal.account, role, &functions).await?;
    let mut document = document(&key);
    // The only time that a secret leaves the server.
    document["secret"] = Value::from(key.secret.as_str());
    Ok(Answer::json(StatusCode::CREATED, &document))
}

pub(super) async fn list(request: &Request<'_>) -> Result<Answer, ApiError> {
    check_admin(request, "wuwei:ListKeys")?;
    let keys = request.exchange.parts.store.access_keys().list(&request.principal.account).await?;
    Ok(Answer::json(StatusCode::OK, &keys.iter().map(document).collect()))
}

pub(super) async fn delete(request: &Request<'_>, id: &str) -> Result<Answer, ApiError> {
    check_admin(request, "wuwei:DeleteKey")?;
    let store = request.exchange.parts.store.access_keys();
    let keys = store.list(&request.principal.account).await?;
    check_removable(&keys, id)?;
    store.delete(id).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// An account keeps one administrator, or nobody could make keys any more.
fn check_removable(keys: &[AccessKey], id: &str) -> Result<(), ApiError> {
    let Some(key) = keys.iter().find(|key| key.id == id) else {
        return Err(ApiError::not_found(format!("Access key not found: {id}")));
    };
    if is_admin(key.role, &key.functions) && !keys.iter().any(|key| key.id != id && is_admin(key.role, &key.functions))
    {
        return Err(ApiError::conflict(format!(
            "Access key {id} is the account's last administrator: make another first"
        )));
    }
    Ok(())
}

/// Keys can be made for anything, so only those who may do everything make them.
fn is_admin(role: Role, functions: &str) -> bool {
    match role {
        Role::Admin => functions == "*",
        Role::Deployer | Role::Invoker | Role::Viewer => false,
    }
}

fn check_admin(request: &Request<'_>, action: &str) -> Result<(), ApiError> {
    let principal = &request.principal;
    if principal.is_administrator() { Ok(()) } else { Err(ApiError::access_denied(&principal.arn(), action, "*")) }
}

fn read(body: &[u8]) -> Result<(Role, String), ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let new: NewKey = serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))?;
    let role = match new.role.as_str() {
        "admin" => Role::Admin,
        "deployer" => Role::Deployer,
        "invoker" => Role::Invoker,
        "viewer" => Role::Viewer,
        other => {
            return Err(ApiError::validation(format!("role `{other}` is none of admin, deployer, invoker, viewer")));
        }
    };
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_*?".contains(character);
    if new.functions.is_empty() || new.functions.len() > 64 || !new.functions.chars().all(allowed) {
        return Err(ApiError::validation(
            "functions must be 1 to 64 letters, digits, `-` and `_`, with `*` and `?` as wildcards",
        ));
    }
    Ok((role, new.functions))
}

fn document(key: &AccessKey) -> Value {
    let role = match key.role {
        Role::Admin => "admin",
        Role::Deployer => "deployer",
        Role::Invoker => "invoker",
        Role::Viewer => "viewer",
    };
    json!({
        "id": key.id,
        "account": key.account,
        "role": role,
        "functions": key.functions,
        "created": super::logs::rfc3339(key.created_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::{check_removable, document, read};
    use wuwei_store::{AccessKey, Role};

    fn key(id: &str, role: Role) -> AccessKey {
        AccessKey {
            id: id.to_owned(),
            secret: "hunter2".to_owned(),
            account: "000000000000".to_owned(),
            role,
            functions: "*".to_owned(),
            created_ms: 0,
            derived: wuwei_store::DerivedKey::default(),
        }
    }

    #[test]
    fn a_new_key_deploys_everything_unless_it_is_told_otherwise() {
        assert_eq!(read(b"").unwrap(), (Role::Deployer, "*".to_owned()));
        assert_eq!(read(br#"{"role":"viewer","functions":"team-*"}"#).unwrap(), (Role::Viewer, "team-*".to_owned()));
        for wrong in
            [&br#"{"role":"root"}"#[..], br#"{"functions":""}"#, br#"{"functions":"a/b"}"#, br#"{"x":1}"#, b"["]
        {
            assert!(read(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn listed_keys_show_no_secret() {
        let document = document(&key("AKIA1", Role::Admin));
        assert_eq!(document["created"], "1970-01-01T00:00:00.000Z");
        assert!(!document.to_string().contains("hunter2"));
    }

    #[test]
    fn the_last_administrator_stays() {
        let one = [key("A", Role::Admin), key("B", Role::Deployer)];
        assert!(check_removable(&one, "A").unwrap_err().message().contains("last administrator"));
        check_removable(&one, "B").unwrap();
        assert_eq!(check_removable(&one, "C").unwrap_err().name(), "ResourceNotFoundException");
        check_removable(&[key("A", Role::Admin), key("B", Role::Admin)], "A").unwrap();
    }
}
