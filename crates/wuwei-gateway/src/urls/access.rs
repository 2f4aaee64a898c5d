//! Who may call a function through its URL.

use bytes::Bytes;
use wuwei_model::service::Access;
use wuwei_model::{Policy, PolicyCaller, PolicyQuestion, UrlAuthType, limits};

use super::{Found, refusal};
use crate::admission::Standing;
use crate::auth::{Act, Principal};
use crate::face::Exchange;
use crate::wire::Answer;

/// Lets the caller in and reads the body: nothing of it for a caller who is refused without being known. The error is
/// the answer to a caller who is not let in.
pub(super) async fn admit(exchange: &mut Exchange, found: &Found) -> Result<(Option<Principal>, Bytes), Answer> {
    let limit = limits::SYNC_PAYLOAD_BYTES_MAX;
    let nobody = Policy::default();
    let policy = found.known.function.policies.get(&found.qualifier).unwrap_or(&nobody);
    match found.url.auth_type {
        UrlAuthType::None => {
            if !is_allowed(policy, UrlAuthType::None, None, Identity::Unknown) {
                return Err(refusal::forbidden());
            }
            let received =
                exchange.receive(limit, false, Standing::Anonymous).await.map_err(|error| refusal::unread(&error))?;
            Ok((None, exchange.hold(received.bytes)))
        }
        UrlAuthType::AwsIam => {
            let region = exchange.parts.options.region.clone();
            let caller = exchange.identify(&["lambda"], &[&region]);
            let caller = caller.map_err(|error| refusal::not_admitted(error.into()))?;
            if let Some(principal) = caller.believed() {
                check(principal, found, policy)?;
            }
            let accepted = exchange.accept(caller, limit).await;
            let (principal, body) = accepted.map_err(refusal::not_admitted)?;
            check(&principal, found, policy)?;
            Ok((Some(principal), body))
        }
    }
}

fn check(principal: &Principal, found: &Found, policy: &Policy) -> Result<(), Answer> {
    let key = &found.known.latest.key;
    let resource = found.arn();
    let mut by_role = true;
    for action in ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"] {
        let act = Act { action, resource: &resource, access: Access::Invoke };
        let asked = principal.may_with(&act, Some(&key.name), |known| {
            known.set("lambda:FunctionUrlAuthType", "AWS_IAM");
            known.set("lambda:InvokedViaFunctionUrl", "true");
        });
        match asked {
            Ok(()) => {}
            Err(refusal) if refusal.is_explicit => return Err(refusal::forbidden()),
            Err(_) => by_role = false,
        }
    }
    let identity = match (principal.account == key.account, by_role) {
        (true, true) => Identity::Suffices,
        (true, false) => Identity::Unknown,
        (false, true) => Identity::NeedsPolicy,
        (false, false) => return Err(refusal::forbidden()),
    };
    let names = principal.names();
    let caller = names.caller_of(&key.account);
    if is_allowed(policy, UrlAuthType::AwsIam, Some(caller), identity) { Ok(()) } else { Err(refusal::forbidden()) }
}

/// What the caller's own permissions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// Nothing: the policy decides alone.
    Unknown,
    /// Yes, within the account.
    Suffices,
    /// Yes; but the function is another account's, whose policy must agree.
    NeedsPolicy,
}

/// Since October 2025 a URL takes two permissions: to use the URL, and to invoke the function through it.
fn is_allowed(policy: &Policy, auth_type: UrlAuthType, caller: Option<PolicyCaller<'_>>, identity: Identity) -> bool {
    if identity == Identity::Suffices {
        return true;
    }
    let url =
        PolicyQuestion { action: "lambda:InvokeFunctionUrl", caller, url_auth_type: Some(auth_type), via_url: true };
    let function = PolicyQuestion { action: "lambda:InvokeFunction", url_auth_type: None, ..url };
    policy.allows(&url) && policy.allows(&function)
}

#[cfg(test)]
mod tests {
    use super::{Identity, is_allowed};
    use wuwei_model::{Policy, PolicyCaller, PolicyPrincipal, PolicyStatement, UrlAuthType};

    fn statement(action: &str, principal: &PolicyPrincipal) -> PolicyStatement {
        PolicyStatement {
            id: action.to_owned(),
            principal: principal.clone(),
            action: action.to_owned(),
            source_arn: None,
            source_account: None,
            organization_id: None,
            event_source_token: None,
            url_auth_type: None,
            via_url: None,
        }
    }

    fn policy(actions: &[&str], principal: &PolicyPrincipal) -> Policy {
        let statements = actions.iter().map(|action| statement(action, principal)).collect();
        Policy { statements, revision_id: None }
    }

    #[test]
    fn both_permissions_are_needed() {
        let check = |actions: &[&str], expected: bool| {
            let policy = policy(actions, &PolicyPrincipal::Everyone);
            let allowed = is_allowed(&policy, UrlAuthType::None, None, Identity::Unknown);
            assert_eq!(allowed, expected, "{actions:?}");
        };
        check(&[], false);
        check(&["lambda:InvokeFunctionUrl"], false);
        check(&["lambda:InvokeFunction"], false);
        check(&["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], true);
        check(&["lambda:*"], true);
    }

    #[test]
    fn within_the_account_the_role_suffices_and_from_outside_the_policy_must_agree() {
        let arn = "arn:aws:iam::111111111111:user/u";
        let caller = PolicyCaller { account: "111111111111", arn, role_arn: None, is_own: false };
        let account = PolicyPrincipal::Account("111111111111".to_owned());
        let check = |policy: &Policy, identity: Identity, expected: bool| {
            assert_eq!(is_allowed(policy, UrlAuthType::AwsIam, Some(caller), identity), expected, "{identity:?}");
        };
        check(&Policy::default(), Identity::Suffices, true);
        check(&Policy::default(), Identity::NeedsPolicy, false);
        check(&Policy::default(), Identity::Unknown, false);
        check(&policy(&["lambda:*"], &account), Identity::NeedsPolicy, true);
        check(&policy(&["lambda:*"], &account), Identity::Unknown, true);
    }
}
