use crate::UrlAuthType;

/// The resource policy of a function, a version or an alias: who else may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In the order in which they were added.
    pub statements: Vec<PolicyStatement>,
    /// UUID, new at each change of the policy of a published version, whose own record never changes; `None` for
    /// `$LATEST`, whose revision is the function's.
    pub revision_id: Option<String>,
}

/// One permission. There are no statements that deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatement {
    /// The caller's name for it, unique in the policy.
    pub id: String,
    /// Who is allowed.
    pub principal: PolicyPrincipal,
    /// `lambda:<Action>`, `lambda:*` or `*`.
    pub action: String,
    /// Only on behalf of this resource; `*` and `?` are wildcards.
    pub source_arn: Option<String>,
    /// Only on behalf of this account.
    pub source_account: Option<String>,
    /// Only members of this organisation.
    pub organization_id: Option<String>,
    /// Only with this token (Alexa).
    pub event_source_token: Option<String>,
    /// Only through URLs of this kind.
    pub url_auth_type: Option<UrlAuthType>,
    /// Only through a URL, or only not through one.
    pub via_url: Option<bool>,
}

/// Whom a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPrincipal {
    /// `*`.
    Everyone,
    /// All of an account: twelve digits.
    Account(String),
    /// One user or role, by its ARN.
    Arn(String),
    /// A service, for example `s3.amazonaws.com`.
    Service(String),
}

/// Somebody who signed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyCaller<'request> {
    /// Twelve digits.
    pub account: &'request str,
    /// ARN of the user, or of the session of a role.
    pub arn: &'request str,
    /// ARN of the role that a session is of.
    pub role_arn: Option<&'request str>,
    /// Whether the caller's account is the one that the policy is of. A statement that names this account names nobody
    /// of it: their own permissions say what they may.
    pub is_own: bool,
}

/// What is asked of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyQuestion<'request> {
    /// `lambda:<Action>`.
    pub action: &'request str,
    /// `None` for a request that nobody signed.
    pub caller: Option<PolicyCaller<'request>>,
    /// The kind of the URL, for the action `lambda:InvokeFunctionUrl`.
    pub url_auth_type: Option<UrlAuthType>,
    /// Whether the request came through a URL.
    pub via_url: bool,
}

impl Policy {
    /// Whether some statement allows it.
    #[must_use]
    pub fn allows(&self, question: &PolicyQuestion<'_>) -> bool {
        self.statements.iter().any(|statement| statement.allows(question))
    }
}

impl PolicyStatement {
    /// Whether this statement allows it. A condition on what a request does not carry is not met.
    #[must_use]
    pub fn allows(&self, question: &PolicyQuestion<'_>) -> bool {
        let names_caller = match (&self.principal, question.caller) {
            (PolicyPrincipal::Everyone, _) => true,
            (PolicyPrincipal::Account(account), Some(caller)) => account == caller.account && !caller.is_own,
            (PolicyPrincipal::Arn(arn), Some(caller)) => {
                arn == caller.arn
                    || Some(arn.as_str()) == caller.role_arn
                    || !caller.is_own && *arn == format!("arn:aws:iam::{}:root", caller.account)
            }
            (PolicyPrincipal::Account(_) | PolicyPrincipal::Arn(_), None) | (PolicyPrincipal::Service(_), _) => false,
        };
        // What only services and organisations bring along.
        let is_unconditional = self.source_arn.is_none()
            && self.source_account.is_none()
            && self.organization_id.is_none()
            && self.event_source_token.is_none();
        names_caller
            && is_unconditional
            && self.covers(question.action)
            && self.url_auth_type.is_none_or(|auth_type| question.url_auth_type == Some(auth_type))
            && self.via_url.is_none_or(|via_url| question.via_url == via_url)
    }

    fn covers(&self, action: &str) -> bool {
        self.action == "*" || self.action.eq_ignore_ascii_case("lambda:*") || self.action.eq_ignore_ascii_case(action)
    }
}

#[cfg(test)]
mod tests {
    use super::{PolicyCaller, PolicyPrincipal, PolicyQuestion, PolicyStatement};
    use crate::UrlAuthType;

    fn statement(principal: PolicyPrincipal, action: &str) -> PolicyStatement {
        PolicyStatement {
            id: "s".to_owned(),
            principal,
            action: action.to_owned(),
            source_arn: None,
            source_account: None,
            organization_id: None,
            event_source_token: None,
            url_auth_type: None,
            via_url: None,
        }
    }

    fn anybody(action: &str) -> PolicyQuestion<'_> {
        PolicyQuestion { action, caller: None, url_auth_type: None, via_url: false }
    }

    #[test]
    fn a_statement_allows_its_action_and_its_wildcards_only() {
        let check = |written: &str, asked: &str, expected: bool| {
            let statement = statement(PolicyPrincipal::Everyone, written);
            assert_eq!(statement.allows(&anybody(asked)), expected, "{written} {asked}");
        };
        check("lambda:InvokeFunction", "lambda:InvokeFunction", true);
        check("lambda:invokefunction", "lambda:InvokeFunction", true);
        check("lambda:InvokeFunction", "lambda:InvokeFunctionUrl", false);
        check("lambda:*", "lambda:InvokeFunctionUrl", true);
        check("*", "lambda:InvokeFunctionUrl", true);
    }

    #[test]
    fn a_statement_allows_only_whom_it_names() {
        let arn = "arn:aws:iam::111111111111:user/u";
        let caller = PolicyCaller { account: "111111111111", arn, role_arn: None, is_own: false };
        let check = |principal: PolicyPrincipal, signed: bool, expected: bool| {
            let question = PolicyQuestion { caller: signed.then_some(caller), ..anybody("lambda:InvokeFunction") };
            let text = format!("{principal:?} {signed}");
            assert_eq!(statement(principal, "*").allows(&question), expected, "{text}");
        };
        check(PolicyPrincipal::Everyone, false, true);
        check(PolicyPrincipal::Everyone, true, true);
        check(PolicyPrincipal::Account("111111111111".to_owned()), true, true);
        check(PolicyPrincipal::Account("111111111111".to_owned()), false, false);
        check(PolicyPrincipal::Account("222222222222".to_owned()), true, false);
        check(PolicyPrincipal::Arn(caller.arn.to_owned()), true, true);
        check(PolicyPrincipal::Arn("arn:aws:iam::111111111111:root".to_owned()), true, true);
        check(PolicyPrincipal::Arn("arn:aws:iam::111111111111:user/v".to_owned()), true, false);
        check(PolicyPrincipal::Service("s3.amazonaws.com".to_owned()), true, false);
    }

    #[test]
    fn a_session_is_named_by_its_role_and_nobody_by_their_own_account() {
        let (arn, role) = ("arn:aws:sts::111111111111:assumed-role/r/s", "arn:aws:iam::111111111111:role/r");
        let check = |principal: &str, is_own: bool, expected: bool| {
            let caller = PolicyCaller { account: "111111111111", arn, role_arn: Some(role), is_own };
            let question = PolicyQuestion { caller: Some(caller), ..anybody("lambda:InvokeFunction") };
            let named = match principal.len() {
                12 => PolicyPrincipal::Account(principal.to_owned()),
                _arn => PolicyPrincipal::Arn(principal.to_owned()),
            };
            assert_eq!(statement(named, "*").allows(&question), expected, "{principal} {is_own}");
        };
        for is_own in [false, true] {
            check(arn, is_own, true);
            check(role, is_own, true);
            check("arn:aws:iam::111111111111:role/other", is_own, false);
        }
        check("111111111111", false, true);
        check("111111111111", true, false);
        check("arn:aws:iam::111111111111:root", false, true);
        check("arn:aws:iam::111111111111:root", true, false);
    }

    #[test]
    fn every_condition_must_be_met() {
        let url = PolicyQuestion {
            url_auth_type: Some(UrlAuthType::None),
            via_url: true,
            ..anybody("lambda:InvokeFunctionUrl")
        };
        let everyone = || statement(PolicyPrincipal::Everyone, "*");
        let check = |statement: PolicyStatement, question: &PolicyQuestion<'_>, expected: bool| {
            assert_eq!(statement.allows(question), expected, "{statement:?}");
        };
        check(PolicyStatement { url_auth_type: Some(UrlAuthType::None), ..everyone() }, &url, true);
        check(PolicyStatement { url_auth_type: Some(UrlAuthType::AwsIam), ..everyone() }, &url, false);
        check(PolicyStatement { via_url: Some(true), ..everyone() }, &url, true);
        check(PolicyStatement { via_url: Some(true), ..everyone() }, &anybody("lambda:InvokeFunction"), false);
        check(PolicyStatement { source_arn: Some("arn:aws:s3:::b".to_owned()), ..everyone() }, &url, false);
        check(PolicyStatement { source_account: Some("111111111111".to_owned()), ..everyone() }, &url, false);
        check(PolicyStatement { organization_id: Some("o-1".to_owned()), ..everyone() }, &url, false);
        check(PolicyStatement { event_source_token: Some("t".to_owned()), ..everyone() }, &url, false);
    }
}
