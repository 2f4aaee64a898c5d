//! Accounts: made and listed by administrators of the first one.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wuwei_store::{AccountRecord, Change, Role, StoreError};

use super::Request;
use crate::lambda::ApiError;
use crate::wire::Answer;

const NAME_MAX: usize = 64;

/// What a new account is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// Twelve digits; random ones when it is left out.
    id: Option<String>,
    #[serde(default)]
    name: String,
}

/// Makes an account and its first key, an administrator's.
pub(super) async fn create(request: &Request<'_>) -> Result<Answer, ApiError> {
    check_operator(request, "wuwei:CreateAccount")?;
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    let new: NewAccount = serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))?;
    if new.name.chars().count() > NAME_MAX || new.name.chars().any(char::is_control) {
        return Err(ApiError::validation(format!("name must have at most {NAME_MAX} printable characters")));
    }
    let parts = &request.exchange.parts;
    let id = match new.id {
        Some(id) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) => id,
        Some(_) => return Err(ApiError::validation("id must be twelve digits")),
        None => random_id()?,
    };
    let taken = || ApiError::conflict(format!("Account {id} exists already"));
    if crate::accounts::all(parts).await.contains(&id) {
        return Err(taken());
    }
    let record = AccountRecord { id: id.clone(), name: new.name, created_ms: super::logs::now_ms() };
    let made = record.clone();
    parts
        .store
        .accounts()
        .change(&id, |present| match present {
            Some(_) => Err(taken()),
            None => Ok((Change::Put(record), ())),
        })
        .await?;
    let key = match parts.store.access_keys().create(&id, Role::Admin, "*").await {
        Ok(key) => key,
        // An account without a key would be nobody's, and its number gone.
        Err(error) => {
            parts.store.accounts().change(&id, |_| Ok::<_, StoreError>((Change::Remove, ()))).await?;
            return Err(error.into());
        }
    };
    let mut document = document(&made.id, Some(&made), 1);
    document["access_key_id"] = Value::from(key.id.as_str());
    // The only time that a secret leaves the server.
    document["secret_access_key"] = Value::from(key.secret.as_str());
    Ok(Answer::json(StatusCode::CREATED, &document))
}

pub(super) async fn list(request: &Request<'_>) -> Result<Answer, ApiError> {
    check_operator(request, "wuwei:ListAccounts")?;
    let parts = &request.exchange.parts;
    let mut documents = Vec::new();
    for id in crate::accounts::all(parts).await {
        let keys = parts.store.access_keys().list(&id).await?.len();
        documents.push(document(&id, parts.store.accounts().get(&id).as_deref(), keys));
    }
    Ok(Answer::json(StatusCode::OK, &documents.into()))
}

fn document(id: &str, record: Option<&AccountRecord>, keys: usize) -> Value {
    json!({
        "id": id,
        "name": record.map_or("", |record| record.name.as_str()),
        "created": record.map(|record| super::logs::rfc3339(record.created_ms)),
        "keys": keys,
    })
}

/// Whoever runs the server: administrators of its first account.
pub(super) fn check_operator(request: &Request<'_>, action: &str) -> Result<(), ApiError> {
    let principal = &request.principal;
    let is_operator = principal.account == request.exchange.parts.options.account && principal.is_administrator();
    if is_operator { Ok(()) } else { Err(ApiError::access_denied(&principal.arn(), action, "*")) }
}

/// Twelve digits, not beginning with 0.
fn random_id() -> Result<String, ApiError> {
    let number = getrandom::u64().map_err(|error| ApiError::platform(&std::io::Error::other(error)))?;
    Ok((100_000_000_000 + number % 900_000_000_000).to_string())
}
