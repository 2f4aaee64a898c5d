//! STS: who somebody is, and temporary credentials of roles.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value, json};
use wuwei_model::iam::{ContextKeys, Named, PolicyDocument, TrustDecision};
use wuwei_model::service::{Access, Operation, ServiceModel};
use wuwei_store::RoleRecord;

use crate::auth::{
    Act, Arrival, AssumedRole, Principal, Refusal, SessionPolicies, context_of, document_of, role_of_arn,
};
use crate::face::Exchange;
use crate::gateway::Parts;
use crate::query::{self, QueryCall, QueryError, QueryService};
use crate::wire::Answer;

/// How it speaks.
pub(crate) static SERVICE: LazyLock<QueryService> = LazyLock::new(|| QueryService {
    name: "sts",
    model: ServiceModel::sts(),
    version: "2011-06-15",
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
});

const SESSION_S_DEFAULT: u64 = 3_600;
/// Longest session of a role that is assumed by a session of a role.
const CHAINED_SESSION_S_MAX: u64 = 3_600;
const POLICY_ARNS_MAX: usize = 10;
/// Longest policy of a session, in characters.
const POLICY_MAX: usize = 2_048;
/// What would have to be remembered of a session, or checked, and is not.
const UNSUPPORTED: [&str; 6] =
    ["Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts"];

/// Answers a request of STS.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    let result = call(exchange).await;
    query::answer(&SERVICE, &exchange.request_id, result)
}

async fn call(exchange: &mut Exchange) -> Result<(&'static Operation, Map<String, Value>), QueryError> {
    let region = exchange.parts.options.region.clone();
    // The global endpoint of STS is scoped to us-east-1, whatever the client's region.
    let call = query::read(&SERVICE, exchange, &[&region, "us-east-1"]).await?;
    let members = match call.operation.name() {
        "AssumeRole" => {
            exchange.note.resource(call.text("RoleArn").unwrap_or_default());
            assume_role(&exchange.parts, &call, exchange.arrival())?
        }
        _identity => identity(&call.principal),
    };
    Ok((call.operation, members))
}

fn identity(principal: &Principal) -> Map<String, Value> {
    Map::from_iter([
        ("UserId".to_owned(), json!(principal.user_id())),
        ("Account".to_owned(), json!(principal.account)),
        ("Arn".to_owned(), json!(principal.arn())),
    ])
}

fn assume_role(parts: &Parts, call: &QueryCall, arrival: Arrival) -> Result<Map<String, Value>, QueryError> {
    for unsupported in UNSUPPORTED {
        if call.members.contains_key(unsupported) {
            return Err(QueryError::validation(format!("{unsupported} is not supported by wuwei")));
        }
    }
    let arn = call.text("RoleArn").unwrap_or_default();
    let refused = || {
        let who = call.principal.arn();
        let text = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}");
        QueryError::new("AccessDenied", text)
    };
    let account = arn.split(':').nth(4).unwrap_or_default();
    let role = role_of_arn(&parts.store, account, arn).ok_or_else(refused)?;
    if !may_assume(parts, call, (account, &role), arrival)? {
        return Err(refused());
    }
    let seconds = call.number("DurationSeconds").unwrap_or(SESSION_S_DEFAULT);
    if seconds > u64::from(role.session_s_max) && call.number("DurationSeconds").is_some() {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(QueryError::validation(text));
    }
    if !call.principal.is_key() && seconds > CHAINED_SESSION_S_MAX {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(QueryError::validation(text));
    }
    let bounds = session_policies(parts, call, account)?;
    let session_name = call.text("RoleSessionName").unwrap_or_default();
    let time = (arrival.at, Duration::from_secs(seconds));
    let issued = AssumedRole::issue(&parts.store, (account, &role), session_name, time, bounds);
    let issued = issued.map_err(|error| QueryError::platform(&std::io::Error::other(error)))?;
    Ok(Map::from_iter([
        (
            "Credentials".to_owned(),
            json!({
                "AccessKeyId": issued.assumed.key_id,
                "SecretAccessKey": issued.secret(),
                "SessionToken": issued.token,
                "Expiration": issued.assumed.expires_s,
            }),
        ),
        ("AssumedRoleUser".to_owned(), json!({"AssumedRoleId": issued.assumed.user_id(), "Arn": issued.assumed.arn()})),
    ]))
}

/// The role must trust the caller; and unless it names the caller of its own account, the caller's own permissions must
/// allow it, too.
fn may_assume(
    parts: &Parts,
    call: &QueryCall,
    (account, role): (&str, &RoleRecord),
    arrival: Arrival,
) -> Result<bool, QueryError> {
    let principal = &call.principal;
    let (arn, caller_role) = (principal.named_arn(), principal.role_arn());
    let named = Named::Identity { account: &principal.account, arn: &arn, role: caller_role.as_deref() };
    let asked = asked_for(call, role);
    let mut context = context_of(principal, &parts.options.region, arrival);
    context.add(asked.clone());
    let Ok(trust) = PolicyDocument::parse_trust(&role.trust) else { return Ok(false) };
    let trust = trust.trusts(&named, "sts:AssumeRole", &context);
    let target = role.arn(account);
    let act = Act { action: "sts:AssumeRole", resource: &target, access: Access::Write };
    let by_identity: Result<(), Refusal> = if principal.is_key() {
        // A role may be more than a key that deploys; who may do everything may be anyone.
        if principal.is_administrator() { Ok(()) } else { Err(Refusal::not_allowed(principal, &act)) }
    } else {
        principal.may_with(&act, None, |known| known.add(asked))
    };
    match (trust, by_identity) {
        (TrustDecision::Denied | TrustDecision::Nothing, _) => Ok(false),
        (_, Err(refusal)) if refusal.is_explicit => Err(refusal.into()),
        (TrustDecision::Named, by_identity) => Ok(principal.account == account || by_identity.is_ok()),
        (TrustDecision::Account, by_identity) => Ok(by_identity.is_ok()),
    }
}

/// What conditions of either side can ask of the session that is wanted, and of its role.
fn asked_for(call: &QueryCall, role: &RoleRecord) -> ContextKeys {
    let mut context = ContextKeys::default();
    for (key, member) in [("sts:ExternalId", "ExternalId"), ("sts:RoleSessionName", "RoleSessionName")] {
        if let Some(value) = call.text(member) {
            context.set(key, value);
        }
    }
    for tag in ["aws:resourcetag/", "iam:resourcetag/"] {
        context.know(tag);
        role.tags.iter().for_each(|(key, value)| context.set(&format!("{tag}{key}"), value.as_str()));
    }
    // Sessions have no tags of their own.
    context.know("aws:requesttag/");
    context.know("aws:tagkeys");
    context
}

/// Policies that bound the session.
fn session_policies(parts: &Parts, call: &QueryCall, account: &str) -> Result<Option<SessionPolicies>, QueryError> {
    let inline = call.text("Policy").map(str::to_owned);
    if let Some(text) = &inline {
        if text.chars().count() > POLICY_MAX {
            let text = format!("The policy of a session must have at most {POLICY_MAX} characters.");
            return Err(QueryError::new("PackedPolicyTooLargeException", text));
        }
        let parsed = PolicyDocument::parse_identity(text);
        parsed.map_err(|error| QueryError::new("MalformedPolicyDocumentException", error.to_string()))?;
    }
    let arns = call.members.get("PolicyArns").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if arns.len() > POLICY_ARNS_MAX {
        return Err(QueryError::new("PackedPolicyTooLargeException", "Only 10 policy ARNs are allowed."));
    }
    let arns: Vec<String> = arns.iter().filter_map(|item| item["arn"].as_str()).map(str::to_owned).collect();
    if let Some(missing) = arns.iter().find(|arn| document_of(&parts.store, account, arn).is_none()) {
        return Err(QueryError::validation(format!("Policy {missing} was not found.")));
    }
    Ok((inline.is_some() || !arns.is_empty()).then_some(SessionPolicies { inline, arns }))
}
