//! `egress/<function>`: what a function may reach. Not a part of AWS's API, which has VPCs for it.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use wuwei_model::service::Access;
use wuwei_model::{EgressPolicy, FunctionKey};

use super::Request;
use crate::auth::permits;
use crate::lambda::ApiError;
use crate::wire::Answer;

/// What is to hold from now on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    egress: Entries,
}

/// One text, or a list of entries.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entries {
    Text(String),
    List(Vec<String>),
}

pub(super) async fn show(request: &Request<'_>, name: &str) -> Result<Answer, ApiError> {
    let key = existing(request, name).await?;
    Ok(document(request, &key))
}

pub(super) async fn set(request: &Request<'_>, name: &str) -> Result<Answer, ApiError> {
    let policy = read(&request.body)?;
    let key = existing(request, name).await?;
    check_may_set(request, &key, &policy)?;
    let parts = &request.exchange.parts;
    if parts.store.egress().get(&key).as_ref() != Some(&policy) {
        parts.store.egress().set(&key, policy).await?;
        // Instances keep the network that they were started with.
        parts.engine.retire(&key);
    }
    Ok(document(request, &key))
}

pub(super) async fn reset(request: &Request<'_>, name: &str) -> Result<Answer, ApiError> {
    let key = existing(request, name).await?;
    let parts = &request.exchange.parts;
    check_may_set(request, &key, &parts.options.egress)?;
    parts.store.egress().remove(&key).await?;
    parts.engine.retire(&key);
    Ok(document(request, &key))
}

/// A function that the caller may read.
async fn existing(request: &Request<'_>, name: &str) -> Result<FunctionKey, ApiError> {
    let key = request.function(name)?;
    match request.exchange.parts.store.functions().get(&key).await? {
        Some(_) => Ok(key),
        None => Err(ApiError::function_not_found(&key.arn())),
    }
}

/// Who may change a function may close it or leave it to the default; to open more is for administrators, because a list
/// may name this host and the networks behind it.
fn check_may_set(request: &Request<'_>, key: &FunctionKey, policy: &EgressPolicy) -> Result<(), ApiError> {
    let principal = &request.principal;
    let is_modest = *policy == EgressPolicy::None || *policy == request.exchange.parts.options.egress;
    if permits(principal, Access::Write, Some(&key.name)) && (is_modest || principal.is_administrator()) {
        Ok(())
    } else {
        Err(ApiError::access_denied(&principal.arn(), "wuwei:SetEgress", &key.arn()))
    }
}

fn read(body: &[u8]) -> Result<EgressPolicy, ApiError> {
    let change: Change = serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))?;
    let policy = match &change.egress {
        Entries::Text(text) => text.parse(),
        Entries::List(entries) => EgressPolicy::from_entries(entries.iter().map(String::as_str)),
    };
    policy.map_err(|error| ApiError::validation(error.to_string()))
}

fn document(request: &Request<'_>, key: &FunctionKey) -> Answer {
    let parts = &request.exchange.parts;
    let own = parts.store.egress().get(key);
    let (policy, source) = match &own {
        Some(policy) => (policy, "function"),
        None => (&parts.options.egress, "server"),
    };
    Answer::json(StatusCode::OK, &json!({"egress": policy.to_string(), "source": source}))
}

#[cfg(test)]
mod tests {
    use super::read;
    use wuwei_model::EgressPolicy;

    #[test]
    fn a_policy_is_a_text_or_a_list() {
        assert_eq!(read(br#"{"egress": "none"}"#).unwrap(), EgressPolicy::None);
        let list = read(br#"{"egress": ["db:5432", "10.0.0.0/8"]}"#).unwrap();
        assert_eq!(list.to_string(), "10.0.0.0/8,db:5432");
        for wrong in [&br#"{"egress": "everything"}"#[..], br#"{"egress": []}"#, br#"{"egress": 1}"#, br#"{}"#, b"["] {
            assert!(read(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
