//! `AddPermission`, `RemovePermission` and `GetPolicy`.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Map;
use uuid::Uuid;
use wuwei_model::{FunctionVersion, PolicyQuestion};
use wuwei_store::Function;

use super::super::call::{Call, Reply};
use super::super::configuration::LATEST;
use super::super::error::ApiError;
use super::super::lookup::{Qualifier, check_revision, read_qualifier};
use super::super::policy::{POLICY_BYTES_MAX, document, read_statement, statement_document};
use super::super::target::Target;
use super::super::{lookup, settlement};
use super::change;
use crate::auth::Principal;
use crate::gateway::Parts;

const NO_RESOURCE: &str = "The resource you requested does not exist.";
const NO_POLICY: &str = "No policy is associated with the given resource.";

pub(super) async fn add(call: &Call) -> Result<Reply, ApiError> {
    if call.target().qualifier.as_deref() == Some(LATEST) {
        return Err(ApiError::invalid_parameter("We currently do not support adding policies for $LATEST."));
    }
    let statement = read_statement(&call.members)?;
    let subject = Subject::find(call).await?;
    let arn = call.target().arn();
    let written = statement_document(&statement, &arn);
    change(call, &subject.missing, |function| {
        subject.check_revision(call, function)?;
        let policy = function.policies.entry(subject.qualifier.clone()).or_default();
        if policy.statements.iter().any(|known| known.id == statement.id) {
            return Err(ApiError::conflict(format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement.",
                statement.id
            )));
        }
        policy.statements.push(statement.clone());
        let length = document(policy, &arn).len();
        if length > POLICY_BYTES_MAX {
            return Err(ApiError::policy_too_long(length, POLICY_BYTES_MAX));
        }
        subject.mark_changed(function);
        Ok(())
    })
    .await?;
    let mut members = Map::new();
    members.insert("Statement".to_owned(), written.into());
    Ok(Reply::Members(members))
}

pub(super) async fn remove(call: &Call) -> Result<Reply, ApiError> {
    let subject = Subject::find(call).await?;
    let id = call.text("StatementId").unwrap_or_default();
    change(call, &subject.missing, |function| {
        let policy = function.policies.get_mut(&subject.qualifier);
        let policy = policy.filter(|policy| !policy.statements.is_empty());
        let policy = policy.ok_or_else(|| ApiError::not_found(NO_POLICY))?;
        let before = policy.statements.len();
        policy.statements.retain(|known| known.id != id);
        if policy.statements.len() == before {
            return Err(ApiError::not_found(format!("Statement {id} is not found in resource policy.")));
        }
        subject.check_revision(call, function)?;
        subject.mark_changed(function);
        Ok(())
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let subject = Subject::find(call).await?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::not_found(&subject.missing))?;
    let policy = function.policies.get(&subject.qualifier).filter(|policy| !policy.statements.is_empty());
    let policy = policy.ok_or_else(|| ApiError::not_found(NO_RESOURCE))?;
    let mut members = Map::new();
    members.insert("Policy".to_owned(), document(policy, &call.target().arn()).into());
    members.insert("RevisionId".to_owned(), subject.revision_id(&function).into());
    Ok(Reply::Members(members))
}

/// Whether the policy of what a call names lets this caller do it, not through a URL.
pub(in crate::lambda) async fn policy_allows(
    parts: &Parts,
    principal: &Principal,
    target: &Target,
    action: &str,
) -> Result<bool, ApiError> {
    let Some(known) = parts.store.functions().known(&target.key).await? else { return Ok(false) };
    let qualifier = target.qualifier.as_deref().unwrap_or(LATEST);
    let names = principal.names();
    let caller = Some(names.caller_of(&target.key.account));
    let question = PolicyQuestion { action, caller, url_auth_type: None, via_url: false };
    Ok(known.function.policies.get(qualifier).is_some_and(|policy| policy.allows(&question)))
}

/// What a policy is for: the function, one of its versions, or one of its aliases.
struct Subject {
    /// Key of the policy.
    qualifier: String,
    kind: Kind,
    /// Words for when it is not there.
    missing: String,
}

enum Kind {
    Function,
    /// As it was published.
    Version(Arc<FunctionVersion>),
    Alias,
}

impl Subject {
    /// Finds it, and lets a change come to rest first: a policy changes the revision that the change goes by.
    async fn find(call: &Call) -> Result<Self, ApiError> {
        let target = call.target();
        let missing = format!("Function not found: {}", target.arn());
        let found = lookup::function(&call.parts, &target.key).await?;
        let (function, _) = found.ok_or_else(|| ApiError::not_found(&missing))?;
        let (qualifier, kind) = match read_qualifier(target.qualifier.as_deref()) {
            Qualifier::Latest => {
                settlement::settle(&call.parts, &target.key, &function.latest.revision_id).await;
                (LATEST.to_owned(), Kind::Function)
            }
            Qualifier::Number(number) => {
                (number.to_string(), Kind::Version(lookup::version(&call.parts, target).await?))
            }
            Qualifier::Name(name) if function.aliases.contains_key(name) => (name.to_owned(), Kind::Alias),
            Qualifier::Name(_) => return Err(no_alias(&target.arn())),
        };
        Ok(Self { qualifier, kind, missing })
    }

    fn revision_id<'function>(&'function self, function: &'function Function) -> Option<&'function str> {
        let changed = function.policies.get(&self.qualifier).and_then(|policy| policy.revision_id.as_deref());
        match &self.kind {
            Kind::Function => Some(&function.latest.revision_id),
            Kind::Version(version) => Some(changed.unwrap_or(&version.revision_id)),
            // Gone since it was found, maybe.
            Kind::Alias => function.aliases.get(&self.qualifier).map(|alias| alias.revision_id.as_str()),
        }
    }

    fn check_revision(&self, call: &Call, function: &Function) -> Result<(), ApiError> {
        let current = self.revision_id(function).ok_or_else(|| no_alias(&call.target().arn()))?;
        check_revision(current, call.text("RevisionId"))
    }

    fn mark_changed(&self, function: &mut Function) {
        let revision_id = Uuid::new_v4().to_string();
        match self.kind {
            Kind::Function => function.latest.revision_id = revision_id,
            Kind::Version(_) => {
                let policy = function.policies.entry(self.qualifier.clone()).or_default();
                policy.revision_id = Some(revision_id);
            }
            Kind::Alias => {
                if let Some(alias) = function.aliases.get_mut(&self.qualifier) {
                    alias.revision_id = revision_id;
                }
            }
        }
        function.policies.retain(|_, policy| policy.revision_id.is_some() || !policy.statements.is_empty());
    }
}

fn no_alias(arn: &str) -> ApiError {
    ApiError::not_found(format!("Cannot find alias arn: {arn}"))
}
