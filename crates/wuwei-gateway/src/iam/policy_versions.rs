//! Versions of policies that roles share: one of them holds.

use std::sync::Arc;

use serde_json::{Value, json};
use wuwei_store::{Change, PolicyRecord, PolicyVersionRecord};

use super::page::page;
use super::policies::{self, Found, MANAGED_CREATED_S, MANAGED_VERSION};
use super::{Call, Members, encoded, limit_exceeded, no_such_entity, nothing, now_ms, seconds};
use crate::query::QueryError;

/// Versions of a policy.
const VERSIONS_MAX: usize = 5;

pub(super) async fn create(call: &Call) -> Result<Members, QueryError> {
    let document = policies::document_of(call)?;
    let is_default = call.inner.members.get("SetAsDefault").and_then(Value::as_bool).unwrap_or_default();
    let made = change(call, |policy| {
        if policy.versions.len() >= VERSIONS_MAX {
            return Err(limit_exceeded(format!(
                "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must \
                 delete an existing version."
            )));
        }
        policy.last_version += 1;
        let version = PolicyVersionRecord { number: policy.last_version, document, created_ms: now_ms() };
        if is_default {
            policy.default_version = version.number;
        }
        policy.versions.push(version.clone());
        Ok(version)
    })
    .await?;
    let shown = shown(made.number, is_default, seconds(made.created_ms));
    Ok(Members::from_iter([("PolicyVersion".to_owned(), shown)]))
}

pub(super) fn get(call: &Call) -> Result<Members, QueryError> {
    let found = policies::find(call, call.required("PolicyArn"))?;
    let (number, document, created_s) = match &found {
        Found::Own(policy) => {
            let version = named(call).and_then(|number| policy.version(number)).ok_or_else(|| missing(call))?;
            (version.number, version.document.as_str(), seconds(version.created_ms))
        }
        Found::Managed(policy) if named(call) == Some(MANAGED_VERSION) => {
            (MANAGED_VERSION, policy.document, MANAGED_CREATED_S)
        }
        Found::Managed(_) => return Err(missing(call)),
    };
    let mut shown = shown(number, number == found.default_version(), created_s);
    shown["Document"] = json!(encoded(document));
    Ok(Members::from_iter([("PolicyVersion".to_owned(), shown)]))
}

/// The last one first.
pub(super) fn list(call: &Call) -> Result<Members, QueryError> {
    let item = |number: u32, default: u32, created_s: i64| {
        (format!("{:010}", u32::MAX - number), shown(number, number == default, created_s))
    };
    let items = match policies::find(call, call.required("PolicyArn"))? {
        Found::Own(policy) => {
            let item = |version: &PolicyVersionRecord| {
                item(version.number, policy.default_version, seconds(version.created_ms))
            };
            policy.versions.iter().rev().map(item).collect()
        }
        Found::Managed(_) => vec![item(MANAGED_VERSION, MANAGED_VERSION, MANAGED_CREATED_S)],
    };
    page(call, "Versions", items)
}

pub(super) async fn set_default(call: &Call) -> Result<Members, QueryError> {
    change(call, |policy| {
        let version = named(call).filter(|number| policy.version(*number).is_some());
        policy.default_version = version.ok_or_else(|| missing(call))?;
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) async fn delete(call: &Call) -> Result<Members, QueryError> {
    change(call, |policy| {
        let number = named(call).filter(|number| policy.version(*number).is_some());
        let number = number.ok_or_else(|| missing(call))?;
        if number == policy.default_version {
            let text = "Cannot delete the default version of a policy.";
            return Err(QueryError::new("DeleteConflictException", text));
        }
        policy.versions.retain(|version| version.number != number);
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `v1`.
pub(super) fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// The number in the `VersionId` of a call, which is written in one way only.
fn named(call: &Call) -> Option<u32> {
    let text = call.required("VersionId");
    let number = text.strip_prefix('v')?.parse().ok()?;
    (version_id(number) == text).then_some(number)
}

fn missing(call: &Call) -> QueryError {
    let (arn, version) = (call.required("PolicyArn"), call.required("VersionId"));
    no_such_entity(format!("Policy {arn} version {version} does not exist or is not attachable."))
}

fn shown(number: u32, is_default: bool, created_s: i64) -> Value {
    json!({"VersionId": version_id(number), "IsDefaultVersion": is_default, "CreateDate": created_s})
}

/// Changes the versions of a policy of the account.
async fn change<R: Send>(
    call: &Call,
    change: impl FnOnce(&mut PolicyRecord) -> Result<R, QueryError> + Send,
) -> Result<R, QueryError> {
    let policy: Arc<PolicyRecord> = policies::own(call)?;
    let key = PolicyRecord::key(call.account(), &policy.name);
    let arn = call.required("PolicyArn");
    call.parts
        .store
        .policies()
        .change(&key, |present| {
            let mut policy = present.cloned().ok_or_else(|| policies::missing(arn))?;
            let result = change(&mut policy)?;
            policy.updated_ms = now_ms();
            Ok((Change::Put(policy), result))
        })
        .await
}
