//! Policies that roles share: those of the account, and AWS's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use wuwei_model::iam::{MANAGED_POLICIES, ManagedPolicy, PolicyDocument, managed_policy};
use wuwei_store::{Change, PolicyRecord, PolicyVersionRecord, RoleRecord};

use super::page::page;
use super::policy_versions::version_id;
use super::{Call, Members, limit_exceeded, malformed, no_such_entity, nothing, now_ms, seconds, tags};
use crate::auth::new_unique_id;
use crate::query::QueryError;

/// Longest policy, in characters without white space.
const POLICY_MAX: usize = 6_144;
/// Policies of an account.
const POLICIES_MAX: usize = 1_500;
/// The version that AWS's own policies have here.
pub(super) const MANAGED_VERSION: u32 = 1;
/// When AWS made its own, for want of a better time: 2015-04-01.
pub(super) const MANAGED_CREATED_S: i64 = 1_427_846_400;

/// A policy of either kind.
pub(super) enum Found {
    Own(Arc<PolicyRecord>),
    Managed(&'static ManagedPolicy),
}

pub(super) async fn create(call: &Call) -> Result<Members, QueryError> {
    let name = call.required("PolicyName");
    let document = document_of(call)?;
    let now_ms = now_ms();
    let id = new_unique_id("ANPA").map_err(|error| QueryError::platform(&std::io::Error::other(error)))?;
    let policy = PolicyRecord {
        name: name.to_owned(),
        path: call.text("Path").unwrap_or("/").to_owned(),
        id,
        versions: vec![PolicyVersionRecord { number: 1, document, created_ms: now_ms }],
        default_version: 1,
        last_version: 1,
        description: call.text("Description").filter(|text| !text.is_empty()).map(str::to_owned),
        created_ms: now_ms,
        updated_ms: now_ms,
        tags: tags::of_new(call)?,
    };
    let account = call.account();
    let policies = call.parts.store.policies();
    if policies.list(&PolicyRecord::key(account, "")).len() >= POLICIES_MAX {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}")));
    }
    let mut shown = shown(call, &Found::Own(Arc::new(policy.clone())), 0);
    if !policy.tags.is_empty() {
        shown["Tags"] = tags::list(&policy.tags);
    }
    policies
        .change(&PolicyRecord::key(account, name), |present| match present {
            Some(_) => Err(QueryError::new(
                "EntityAlreadyExistsException",
                format!("A policy called {name} already exists. Duplicate names are not allowed."),
            )),
            None => Ok((Change::Put(policy), ())),
        })
        .await?;
    Ok(Members::from_iter([("Policy".to_owned(), shown)]))
}

pub(super) fn get(call: &Call) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    let found = find(call, arn)?;
    let mut shown = shown(call, &found, attachments(call, arn));
    if let Found::Own(policy) = &found {
        if let Some(description) = &policy.description {
            shown["Description"] = json!(description);
        }
        if !policy.tags.is_empty() {
            shown["Tags"] = tags::list(&policy.tags);
        }
    }
    Ok(Members::from_iter([("Policy".to_owned(), shown)]))
}

pub(super) fn list(call: &Call) -> Result<Members, QueryError> {
    let account = call.account();
    let scope = call.text("Scope").unwrap_or("All");
    let prefix = call.text("PathPrefix").unwrap_or("/");
    let mut items = BTreeMap::new();
    if scope != "AWS" {
        for (_, policy) in call.parts.store.policies().list(&PolicyRecord::key(account, "")) {
            items.insert(policy.arn(account), Found::Own(policy));
        }
    }
    if scope != "Local" {
        items.extend(MANAGED_POLICIES.iter().map(|policy| (policy.arn(), Found::Managed(policy))));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, role) in call.parts.store.roles().list(&RoleRecord::key(account, "")) {
        role.attached.iter().for_each(|arn| *counts.entry(arn.clone()).or_default() += 1);
    }
    let only_attached = call.inner.members.get("OnlyAttached").and_then(Value::as_bool).unwrap_or_default();
    let mut shown = Vec::new();
    for (arn, found) in items {
        let count = counts.get(&arn).copied().unwrap_or_default();
        if found.path().starts_with(prefix) && (count > 0 || !only_attached) {
            let item = self::shown(call, &found, count);
            shown.push((arn, item));
        }
    }
    page(call, "Policies", shown)
}

pub(super) async fn delete(call: &Call) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    let key = PolicyRecord::key(call.account(), &own(call)?.name);
    let conflict = |text: &str| QueryError::new("DeleteConflictException", text);
    call.parts
        .store
        .policies()
        .change(&key, |present| {
            let policy = present.ok_or_else(|| missing(arn))?;
            if attachments(call, arn) > 0 {
                return Err(conflict("Cannot delete a policy attached to entities."));
            }
            if policy.versions.len() > 1 {
                return Err(conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                     versions. The default version is deleted with the policy.",
                ));
            }
            Ok((Change::Remove, ()))
        })
        .await?;
    Ok(nothing())
}

/// The policy of the account that a call is to change.
pub(super) fn own(call: &Call) -> Result<Arc<PolicyRecord>, QueryError> {
    match find(call, call.required("PolicyArn"))? {
        Found::Own(policy) => Ok(policy),
        Found::Managed(_) => {
            Err(QueryError::new("AccessDenied", "Policies of AWS's own cannot be changed or deleted."))
        }
    }
}

/// IAM's words for a policy that is not there.
pub(super) fn missing(arn: &str) -> QueryError {
    no_such_entity(format!("Policy {arn} was not found."))
}

/// The policy of an ARN.
pub(super) fn find(call: &Call, arn: &str) -> Result<Found, QueryError> {
    if let Some(managed) = managed_policy(arn) {
        return Ok(Found::Managed(managed));
    }
    let account = call.account();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let own = call.parts.store.policies().get(&PolicyRecord::key(account, name));
    let own = own.filter(|policy| policy.arn(account) == arn);
    own.map(Found::Own).ok_or_else(|| missing(arn))
}

/// Roles that have a policy.
pub(super) fn holders(call: &Call, arn: &str) -> Vec<(String, Arc<RoleRecord>)> {
    let roles = call.parts.store.roles().list(&RoleRecord::key(call.account(), ""));
    roles.into_iter().filter(|(_, role)| role.attached.contains(arn)).collect()
}

fn attachments(call: &Call, arn: &str) -> usize {
    holders(call, arn).len()
}

impl Found {
    fn path(&self) -> &str {
        match self {
            Self::Own(policy) => &policy.path,
            Self::Managed(policy) => policy.path,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own(policy) => &policy.name,
            Self::Managed(policy) => policy.name,
        }
    }

    pub(super) fn default_version(&self) -> u32 {
        match self {
            Self::Own(policy) => policy.default_version,
            Self::Managed(_) => MANAGED_VERSION,
        }
    }

    /// When it was made, and when its versions changed last.
    fn times_s(&self) -> (i64, i64) {
        match self {
            Self::Own(policy) => (seconds(policy.created_ms), seconds(policy.updated_ms)),
            Self::Managed(_) => (MANAGED_CREATED_S, MANAGED_CREATED_S),
        }
    }
}

/// The document that a call brings, if IAM takes it.
pub(super) fn document_of(call: &Call) -> Result<String, QueryError> {
    let text = call.required("PolicyDocument");
    PolicyDocument::parse_identity(text).map_err(|error| malformed(&error))?;
    if text.chars().filter(|character| !character.is_whitespace()).count() > POLICY_MAX {
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {POLICY_MAX}")));
    }
    Ok(text.to_owned())
}

fn shown(call: &Call, found: &Found, attachments: usize) -> Value {
    let (created_s, updated_s) = found.times_s();
    let (id, arn) = match found {
        Found::Own(policy) => (policy.id.as_str(), policy.arn(call.account())),
        Found::Managed(policy) => (policy.id, policy.arn()),
    };
    json!({
        "PolicyName": found.name(),
        "PolicyId": id,
        "Arn": arn,
        "Path": found.path(),
        "DefaultVersionId": version_id(found.default_version()),
        "AttachmentCount": attachments,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "CreateDate": created_s,
        "UpdateDate": updated_s,
    })
}
