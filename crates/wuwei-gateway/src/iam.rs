//! IAM: roles and their policies.

mod attachments;
mod inline;
mod page;
mod policies;
mod policy_versions;
mod roles;
mod tags;

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};
use wuwei_model::iam::ContextKeys;
use wuwei_model::service::{Access, Operation, ServiceModel};
use wuwei_store::{Role, RoleRecord};

use crate::auth::{Act, Refusal};
use crate::face::Exchange;
use crate::gateway::Parts;
use crate::query::{self, QueryCall, QueryError, QueryService};
use crate::wire::Answer;

static SERVICE: LazyLock<QueryService> = LazyLock::new(|| QueryService {
    name: "iam",
    model: ServiceModel::iam(),
    version: "2010-05-08",
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
});

/// A call, and what it works on.
struct Call {
    parts: Arc<Parts>,
    inner: QueryCall,
}

type Members = Map<String, Value>;

/// Answers a request of IAM.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    let result = call(exchange).await;
    query::answer(&SERVICE, &exchange.request_id, result)
}

async fn call(exchange: &mut Exchange) -> Result<(&'static Operation, Members), QueryError> {
    let region = exchange.parts.options.region.clone();
    // IAM is global: its signatures are scoped to us-east-1, whatever the client's region.
    let inner = query::read(&SERVICE, exchange, &["us-east-1", &region]).await?;
    let operation = inner.operation;
    let call = Call { parts: Arc::clone(&exchange.parts), inner };
    let resource = call.resource();
    if resource != "*" {
        exchange.note.resource(&resource);
    }
    call.check(&resource)?;
    // What a change looks at of other records stays as it is until it is done.
    let _one = match operation.access() {
        Access::Read | Access::Invoke => None,
        Access::Write => Some(exchange.parts.identity.lock().await),
    };
    let members = match operation.name() {
        "AttachRolePolicy" => attachments::attach(&call).await,
        "CreatePolicy" => policies::create(&call).await,
        "CreatePolicyVersion" => policy_versions::create(&call).await,
        "CreateRole" => roles::create(&call).await,
        "DeletePolicy" => policies::delete(&call).await,
        "DeletePolicyVersion" => policy_versions::delete(&call).await,
        "DeleteRole" => roles::delete(&call).await,
        "DeleteRolePolicy" => inline::delete(&call).await,
        "DetachRolePolicy" => attachments::detach(&call).await,
        "GetPolicy" => policies::get(&call),
        "GetPolicyVersion" => policy_versions::get(&call),
        "GetRole" => roles::get(&call),
        "GetRolePolicy" => inline::get(&call),
        "ListAttachedRolePolicies" => attachments::list(&call),
        "ListEntitiesForPolicy" => attachments::entities(&call),
        "ListInstanceProfilesForRole" => roles::instance_profiles(&call),
        "ListPolicies" => policies::list(&call),
        "ListPolicyTags" => tags::of_policy(&call),
        "ListPolicyVersions" => policy_versions::list(&call),
        "ListRolePolicies" => inline::list(&call),
        "ListRoles" => roles::list(&call),
        "ListRoleTags" => tags::of_role(&call),
        "PutRolePolicy" => inline::put(&call).await,
        "SetDefaultPolicyVersion" => policy_versions::set_default(&call).await,
        "TagPolicy" => tags::tag_policy(&call).await,
        "TagRole" => tags::tag_role(&call).await,
        "UntagPolicy" => tags::untag_policy(&call).await,
        "UntagRole" => tags::untag_role(&call).await,
        "UpdateAssumeRolePolicy" => roles::update_trust(&call).await,
        "UpdateRole" => roles::update(&call).await,
        other => Err(QueryError::new("NotImplemented", format!("wuwei does not have {other}"))),
    }?;
    Ok((operation, members))
}

impl Call {
    fn account(&self) -> &str {
        &self.inner.principal.account
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.inner.text(name)
    }

    /// A member that validation has seen.
    fn required(&self, name: &str) -> &str {
        self.inner.text(name).unwrap_or_default()
    }

    /// ARN of what the call is about.
    fn resource(&self) -> String {
        let account = self.account();
        if let Some(arn) = self.text("PolicyArn").filter(|_| self.text("RoleName").is_none()) {
            return arn.to_owned();
        }
        let path = self.text("Path").unwrap_or("/");
        if let Some(name) = self.text("RoleName") {
            let known = self.parts.store.roles().get(&RoleRecord::key(account, name));
            return known.map_or_else(|| format!("arn:aws:iam::{account}:role{path}{name}"), |role| role.arn(account));
        }
        match self.inner.operation.name() {
            "CreatePolicy" => format!("arn:aws:iam::{account}:policy{path}{}", self.required("PolicyName")),
            "ListRoles" => {
                format!("arn:aws:iam::{account}:role{}", self.text("PathPrefix").unwrap_or("/"))
            }
            _other => "*".to_owned(),
        }
    }

    /// Keys that deploy may look at roles; only those that may do everything change them, for a role may be anything.
    fn check(&self, resource: &str) -> Result<(), QueryError> {
        let principal = &self.inner.principal;
        let action = format!("iam:{}", self.inner.operation.name());
        let act = Act { action: &action, resource, access: self.inner.operation.access() };
        if !principal.is_key() {
            return Ok(principal.may_with(&act, None, |known| known.add(self.known()))?);
        }
        let is_allowed = match (act.access, principal.role) {
            (Access::Read, Role::Admin | Role::Deployer) => true,
            (Access::Read, Role::Invoker | Role::Viewer) => false,
            (Access::Invoke | Access::Write, _) => principal.is_administrator(),
        };
        if is_allowed { Ok(()) } else { Err(Refusal::not_allowed(principal, &act).into()) }
    }
}

impl Call {
    /// What conditions can ask of the role, of the policy, and of the tags that a call brings.
    fn known(&self) -> ContextKeys {
        let mut context = ContextKeys::default();
        for beginning in ["aws:requesttag/", "aws:resourcetag/", "aws:tagkeys", "iam:resourcetag/"] {
            context.know(beginning);
        }
        let items = |name: &str| self.inner.members.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut keys: Vec<String> = items("TagKeys").filter_map(Value::as_str).map(str::to_owned).collect();
        for tag in items("Tags") {
            let [key, value] = ["Key", "Value"].map(|name| tag[name].as_str().unwrap_or_default());
            context.set(&format!("aws:RequestTag/{key}"), value);
            keys.push(key.to_owned());
        }
        if !keys.is_empty() {
            context.set_all("aws:TagKeys", keys);
        }
        let tags = match (self.text("RoleName"), self.text("PolicyArn")) {
            (Some(name), policy) => {
                if let Some(arn) = policy {
                    context.set("iam:PolicyARN", arn);
                }
                let role = self.parts.store.roles().get(&RoleRecord::key(self.account(), name));
                role.map(|role| role.tags.clone())
            }
            (None, Some(arn)) => match policies::find(self, arn) {
                Ok(policies::Found::Own(policy)) => Some(policy.tags.clone()),
                Ok(policies::Found::Managed(_)) | Err(_) => None,
            },
            (None, None) => None,
        };
        for (key, value) in tags.unwrap_or_default() {
            context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
            context.set(&format!("iam:ResourceTag/{key}"), value);
        }
        context
    }
}

fn malformed(error: &wuwei_model::iam::MalformedPolicyError) -> QueryError {
    QueryError::new("MalformedPolicyDocumentException", error.to_string())
}

fn no_such_entity(message: impl Into<String>) -> QueryError {
    QueryError::new("NoSuchEntityException", message)
}

fn limit_exceeded(message: impl Into<String>) -> QueryError {
    QueryError::new("LimitExceededException", message)
}

/// Nothing but the answer's metadata.
fn nothing() -> Members {
    Members::new()
}

/// As IAM hands documents out: percent-encoded (RFC 3986).
fn encoded(document: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(document, SET).to_string()
}

/// Whole seconds since the Unix epoch.
fn seconds(at_ms: i64) -> i64 {
    at_ms.div_euclid(1_000)
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
