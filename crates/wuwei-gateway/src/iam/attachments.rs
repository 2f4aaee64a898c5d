//! Which roles have which shared policies.

use serde_json::json;

use super::page::page;
use super::policies::{self, holders};
use super::roles::{change, find};
use super::{Call, Members, limit_exceeded, no_such_entity, nothing};
use crate::query::QueryError;

/// Shared policies of a role.
const ATTACHED_MAX: usize = 10;

pub(super) async fn attach(call: &Call) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    change(call, |role| {
        if policies::find(call, arn).is_err() {
            return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
        }
        role.attached.insert(arn.to_owned());
        if role.attached.len() > ATTACHED_MAX {
            return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_MAX}")));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) async fn detach(call: &Call) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    change(call, |role| {
        let missing = || no_such_entity(format!("Policy {arn} was not found."));
        if role.attached.remove(arn) { Ok(()) } else { Err(missing()) }
    })
    .await?;
    Ok(nothing())
}

pub(super) fn list(call: &Call) -> Result<Members, QueryError> {
    let role = find(call)?;
    let prefix = call.text("PathPrefix").unwrap_or("/");
    let marker = format!(":policy{prefix}");
    let attached = role.attached.iter().filter(|arn| arn.contains(&marker));
    let items = attached.map(|arn| {
        let name = arn.rsplit('/').next().unwrap_or_default();
        (arn.clone(), json!({"PolicyName": name, "PolicyArn": arn}))
    });
    page(call, "AttachedPolicies", items.collect())
}

pub(super) fn entities(call: &Call) -> Result<Members, QueryError> {
    let arn = call.required("PolicyArn");
    policies::find(call, arn)?;
    let wants_roles = call.text("EntityFilter").is_none_or(|filter| filter == "Role");
    let roles = if wants_roles { holders(call, arn) } else { Vec::new() };
    let items = roles.into_iter().map(|(key, role)| (key, json!({"RoleName": role.name, "RoleId": role.id})));
    let mut members = page(call, "PolicyRoles", items.collect())?;
    members.insert("PolicyGroups".to_owned(), json!([]));
    members.insert("PolicyUsers".to_owned(), json!([]));
    Ok(members)
}
