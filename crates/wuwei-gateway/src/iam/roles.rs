//! Roles themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use wuwei_model::iam::PolicyDocument;
use wuwei_store::{Change, RoleRecord};

use super::page::page;
use super::{Call, Members, encoded, limit_exceeded, malformed, no_such_entity, nothing, now_ms, seconds, tags};
use crate::auth::new_unique_id;
use crate::query::QueryError;

/// Longest trust policy, in characters without white space.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const TRUST_MAX: usize = 2_048;
/// Roles of an account.
const ROLES_MAX: usize = 1_000;
const SESSION_S_DEFAULT: u32 = 3_600;

pub(super) async fn create(call: &Call) -> Result<Members, QueryError> {
    let name = call.required("RoleName");
    let trust = trust_of(call.required("AssumeRolePolicyDocument"))?;
    if call.text("PermissionsBoundary").is_some() {
        return Err(QueryError::validation("PermissionsBoundary is not supported by wuwei"));
    }
    let id = new_unique_id("AROA").map_err(|error| QueryError::platform(&std::io::Error::other(error)))?;
    let role = RoleRecord {
        name: name.to_owned(),
        path: call.text("Path").unwrap_or("/").to_owned(),
        id,
        trust,
        description: call.text("Description").filter(|text| !text.is_empty()).map(str::to_owned),
        session_s_max: session_s_max(call).unwrap_or(SESSION_S_DEFAULT),
        created_ms: now_ms(),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        tags: tags::of_new(call)?,
    };
    let account = call.account();
    let roles = call.parts.store.roles();
    if roles.list(&RoleRecord::key(account, "")).len() >= ROLES_MAX {
        return Err(limit_exceeded(format!("Cannot exceed quota for RolesPerAccount: {ROLES_MAX}")));
    }
    let mut shown = document(account, &role);
    add_tags(&mut shown, &role);
    roles
        .change(&RoleRecord::key(account, name), |present| match present {
            Some(_) => {
                Err(QueryError::new("EntityAlreadyExistsException", format!("Role with name {name} already exists.")))
            }
            None => Ok((Change::Put(role), ())),
        })
        .await?;
    Ok(Members::from_iter([("Role".to_owned(), shown)]))
}

pub(super) fn get(call: &Call) -> Result<Members, QueryError> {
    let role = find(call)?;
    let mut shown = document(call.account(), &role);
    add_tags(&mut shown, &role);
    shown["RoleLastUsed"] = json!({});
    Ok(Members::from_iter([("Role".to_owned(), shown)]))
}

pub(super) fn list(call: &Call) -> Result<Members, QueryError> {
    let account = call.account();
    let prefix = call.text("PathPrefix").unwrap_or("/");
    let roles = call.parts.store.roles().list(&RoleRecord::key(account, ""));
    let shown = roles.into_iter().filter(|(_, role)| role.path.starts_with(prefix));
    page(call, "Roles", shown.map(|(key, role)| (key, document(account, &role))).collect())
}

pub(super) async fn update_trust(call: &Call) -> Result<Members, QueryError> {
    let trust = trust_of(call.required("PolicyDocument"))?;
    change(call, |role| {
        role.trust = trust;
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) async fn update(call: &Call) -> Result<Members, QueryError> {
    change(call, |role| {
        if let Some(description) = call.text("Description") {
            role.description = (!description.is_empty()).then(|| description.to_owned());
        }
        role.session_s_max = session_s_max(call).unwrap_or(role.session_s_max);
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) async fn delete(call: &Call) -> Result<Members, QueryError> {
    let conflict =
        |text: &str| QueryError::new("DeleteConflictException", format!("Cannot delete entity, must {text} first."));
    call.parts
        .store
        .roles()
        .change(&key(call), |present| match present {
            None => Err(missing(call)),
            Some(role) if !role.attached.is_empty() => Err(conflict("detach all policies")),
            Some(role) if !role.inline.is_empty() => Err(conflict("delete policies")),
            Some(_) => Ok((Change::Remove, ())),
        })
        .await?;
    Ok(nothing())
}

/// There are no machines here that a role could be for.
pub(super) fn instance_profiles(call: &Call) -> Result<Members, QueryError> {
    find(call)?;
    page(call, "InstanceProfiles", Vec::new())
}

fn key(call: &Call) -> String {
    RoleRecord::key(call.account(), call.required("RoleName"))
}

fn missing(call: &Call) -> QueryError {
    no_such_entity(format!("The role with name {} cannot be found.", call.required("RoleName")))
}

/// The role that a call names.
pub(super) fn find(call: &Call) -> Result<Arc<RoleRecord>, QueryError> {
    call.parts.store.roles().get(&key(call)).ok_or_else(|| missing(call))
}

/// Changes the role that a call names.
pub(super) async fn change(
    call: &Call,
    change: impl FnOnce(&mut RoleRecord) -> Result<(), QueryError> + Send,
) -> Result<(), QueryError> {
    call.parts
        .store
        .roles()
        .change(&key(call), |present| {
            let mut role = present.cloned().ok_or_else(|| missing(call))?;
            change(&mut role)?;
            Ok((Change::Put(role), ()))
        })
        .await
}

fn trust_of(text: &str) -> Result<String, QueryError> {
    PolicyDocument::parse_trust(text).map_err(|error| malformed(&error))?;
    if text.chars().filter(|character| !character.is_whitespace()).count() > TRUST_MAX {
        return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_MAX}")));
    }
    Ok(text.to_owned())
}

fn session_s_max(call: &Call) -> Option<u32> {
    call.inner.number("MaxSessionDuration").and_then(|seconds| u32::try_from(seconds).ok())
}

fn document(account: &str, role: &RoleRecord) -> Value {
    let mut members = json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn(account),
        "CreateDate": seconds(role.created_ms),
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "MaxSessionDuration": role.session_s_max,
    });
    if let Some(description) = &role.description {
        members["Description"] = json!(description);
    }
    members
}

fn add_tags(shown: &mut Value, role: &RoleRecord) {
    if !role.tags.is_empty() {
        shown["Tags"] = tags::list(&role.tags);
    }
}
