//! From a session to the policies that hold for it, and what conditions can ask of a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wuwei_model::iam::{ContextKeys, Named, PolicyDocument, TrustDecision, managed_policy};
use wuwei_model::{ExecutionRole, FunctionKey};
use wuwei_store::{PolicyRecord, RoleRecord, Store};

use super::permission::{Authority, Grants};
use super::{AssumedRole, Principal, RoleSession};
use crate::gateway::GatewayOptions;

/// Who gives functions their roles.
pub(crate) const LAMBDA: &str = "lambda.amazonaws.com";

/// When and from where a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// `None` for the way back of a function.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) at: SystemTime,
}

/// Gives a principal the policies of its role, if it is a session of one that has been made.
pub(crate) fn equip(principal: &mut Principal, store: &Store, options: &GatewayOptions, arrival: Arrival) {
    if let Some(session) = principal.session.clone() {
        let ExecutionRole { arn, id } = session.role();
        // Who gave a function a role that nobody had made was asked nothing, and gave it nothing.
        if id.is_none() && !options.strict_roles {
            return;
        }
        principal.authority = Authority::nothing();
        // One that was made anew is another; one that is for somebody else is not the function's.
        let role = role_of_arn(store, session.account(), arn).filter(|role| Some(&role.id) == id.as_ref());
        if let Some(role) = role.filter(|role| trusts_lambda(role, session.function())) {
            let policies = policies_of(store, session.account(), &role);
            grant(principal, role, policies, None, &options.region, arrival);
        }
    } else if let Some(assumed) = principal.assumed.clone() {
        let role = store.roles().get(&RoleRecord::key(&assumed.account, &assumed.role_name));
        // A role that was made anew is another.
        let Some(role) = role.filter(|role| role.id == assumed.role_id) else { return };
        let policies = policies_of(store, &assumed.account, &role);
        let bounds = assumed.bounds.as_ref().map(|bounds| {
            let shared = bounds.arns.iter().filter_map(|arn| document_of(store, &assumed.account, arn));
            bounds.inline.iter().cloned().chain(shared).filter_map(|text| read(&text)).collect()
        });
        grant(principal, role, policies, bounds, &options.region, arrival);
    }
}

fn grant(
    principal: &mut Principal,
    role: Arc<RoleRecord>,
    policies: Vec<PolicyDocument>,
    session: Option<Vec<PolicyDocument>>,
    region: &str,
    arrival: Arrival,
) {
    principal.made_role = Some(role);
    let context = context_of(principal, region, arrival);
    principal.authority = Authority::Policies(Arc::new(Grants { policies, session, context }));
}

/// What is known of a request, whatever it asks for.
pub(crate) fn context_of(principal: &Principal, region: &str, arrival: Arrival) -> ContextKeys {
    let mut context = ContextKeys::default();
    context.set("aws:RequestedRegion", region);
    context.set("aws:SecureTransport", "false");
    context.set("aws:ViaAWSService", "false");
    context.set("aws:PrincipalIsAWSService", "false");
    if let Some(peer) = arrival.peer {
        context.set("aws:SourceIp", peer.ip().to_canonical().to_string());
    }
    set_time(&mut context, "aws:CurrentTime", arrival.at);
    context.set("aws:EpochTime", arrival.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string());
    context.set("aws:PrincipalAccount", principal.account.as_str());
    context.set("aws:userid", principal.user_id());
    if let Some(role) = &principal.made_role {
        for (key, value) in &role.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
        }
    }
    let issued = principal.session.as_deref().map(RoleSession::began);
    if let Some(issued) = issued.or_else(|| principal.assumed.as_deref().map(AssumedRole::issued)) {
        context.set("aws:PrincipalType", "AssumedRole");
        context.set("aws:PrincipalArn", principal.role_arn().unwrap_or_else(|| principal.arn()));
        set_time(&mut context, "aws:TokenIssueTime", issued);
    } else {
        context.set("aws:PrincipalType", "User");
        context.set("aws:PrincipalArn", principal.arn());
        context.set("aws:username", principal.key_id.as_str());
    }
    context
}

fn set_time(context: &mut ContextKeys, key: &str, at: SystemTime) {
    if let Ok(time) = OffsetDateTime::from(at).format(&Rfc3339) {
        context.set(key, time);
    }
}

/// Whether a role may be given to a function by Lambda.
pub(crate) fn trusts_lambda(role: &RoleRecord, function: &FunctionKey) -> bool {
    let Ok(trust) = PolicyDocument::parse_trust(&role.trust) else { return false };
    let mut context = ContextKeys::default();
    context.set("aws:SourceAccount", function.account.as_str());
    context.set("aws:SourceArn", function.arn());
    trust.trusts(&Named::Service(LAMBDA), "sts:AssumeRole", &context) == TrustDecision::Named
}

/// The role of an ARN, if somebody has made it in this account.
pub(crate) fn role_of_arn(store: &Store, account: &str, arn: &str) -> Option<Arc<RoleRecord>> {
    let name = arn.rsplit('/').next()?;
    store.roles().get(&RoleRecord::key(account, name)).filter(|role| role.arn(account) == arn)
}

/// The document of a policy of this account, or of AWS's own.
pub(crate) fn document_of(store: &Store, account: &str, arn: &str) -> Option<String> {
    if let Some(managed) = managed_policy(arn) {
        return Some(managed.document.to_owned());
    }
    let name = arn.rsplit('/').next()?;
    let policy = store.policies().get(&PolicyRecord::key(account, name)).filter(|policy| policy.arn(account) == arn)?;
    policy.default_document().map(str::to_owned)
}

fn policies_of(store: &Store, account: &str, role: &RoleRecord) -> Vec<PolicyDocument> {
    let attached = role.attached.iter().filter_map(|arn| document_of(store, account, arn));
    role.inline.values().cloned().chain(attached).filter_map(|text| read(&text)).collect()
}

fn read(text: &str) -> Option<PolicyDocument> {
    match PolicyDocument::parse_identity(text) {
        Ok(policy) => Some(policy),
        Err(error) => {
            // Only what was understood is stored.
            tracing::error!(%error, "a stored policy cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests;
