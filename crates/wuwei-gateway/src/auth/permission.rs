//! Who may do what: keys by their role, sessions of roles by the policies of these.

use std::fmt;
use std::sync::Arc;

use wuwei_model::glob_matches;
use wuwei_model::iam::{AccessRequest, ContextKeys, Decision, PolicyDocument, decide};
use wuwei_model::service::Access;
use wuwei_store::Role;

use super::Principal;

/// What decides for a principal.
#[derive(Clone)]
pub(crate) enum Authority {
    /// The role of the key, and its pattern of function names.
    Key,
    /// A function whose role nobody has made: it may invoke the functions of its account, and nothing else.
    UnmadeRole,
    /// The policies of a role.
    Policies(Arc<Grants>),
}

impl Authority {
    /// Of somebody who may do nothing.
    pub(crate) fn nothing() -> Self {
        Self::Policies(Arc::new(Grants::default()))
    }
}

/// The policies that hold for a session of a role.
#[derive(Default)]
pub(crate) struct Grants {
    /// Of the role.
    pub(crate) policies: Vec<PolicyDocument>,
    /// Given with the session: no more is allowed than these say, too.
    pub(crate) session: Option<Vec<PolicyDocument>>,
    /// What is known of the caller and of the request.
    pub(crate) context: ContextKeys,
}

/// Something that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'act> {
    /// As IAM names it, for example `lambda:GetFunction`.
    pub(crate) action: &'act str,
    /// ARN, or `*`.
    pub(crate) resource: &'act str,
    /// What it needs of a key.
    pub(crate) access: Access,
}

/// Why somebody may not, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    text: String,
    /// A statement says no; nothing else can say yes.
    pub(crate) is_explicit: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Refusal {
    /// No policy of the caller's allows it.
    pub(crate) fn not_allowed(principal: &Principal, act: &Act<'_>) -> Self {
        Self::because(principal, act, &format!("because no identity-based policy allows the {} action", act.action))
    }

    fn because(principal: &Principal, act: &Act<'_>, why: &str) -> Self {
        let Act { action, resource, .. } = act;
        let user = principal.arn();
        let text = format!("User: {user} is not authorized to perform: {action} on resource: {resource} {why}");
        Self { text, is_explicit: false }
    }
}

impl Principal {
    /// Whether the caller's own permissions let them do something with a function (`None`: with none in particular).
    pub(crate) fn may(&self, act: &Act<'_>, function: Option<&str>) -> Result<(), Refusal> {
        self.may_with(act, function, |_| ())
    }

    /// The same, with more that is known of the request.
    pub(crate) fn may_with(
        &self,
        act: &Act<'_>,
        function: Option<&str>,
        known: impl FnOnce(&mut ContextKeys),
    ) -> Result<(), Refusal> {
        match &self.authority {
            Authority::Key | Authority::UnmadeRole => {
                if permits(self, act.access, function) {
                    Ok(())
                } else {
                    Err(Refusal::not_allowed(self, act))
                }
            }
            Authority::Policies(grants) => grants.check(self, act, known),
        }
    }

    /// Whether lists show a function to the caller.
    pub(crate) fn sees(&self, function: &str) -> bool {
        match self.authority {
            Authority::Key | Authority::UnmadeRole => permits(self, Access::Read, Some(function)),
            // Whoever may list sees all: policies cannot filter.
            Authority::Policies(_) => true,
        }
    }

    /// Whether a key decides, and not policies.
    pub(crate) fn is_key(&self) -> bool {
        match self.authority {
            Authority::Key => true,
            Authority::UnmadeRole | Authority::Policies(_) => false,
        }
    }

    /// Whether this is a key that may do everything.
    pub(crate) fn is_administrator(&self) -> bool {
        let may_all = match self.role {
            Role::Admin => self.functions == "*",
            Role::Deployer | Role::Invoker | Role::Viewer => false,
        };
        self.is_key() && may_all
    }
}

impl Grants {
    fn check(&self, principal: &Principal, act: &Act<'_>, known: impl FnOnce(&mut ContextKeys)) -> Result<(), Refusal> {
        let mut context = self.context.clone();
        known(&mut context);
        let request = AccessRequest { action: act.action, resource: act.resource, context: &context };
        let denied = |kind: &str| Refusal {
            is_explicit: true,
            ..Refusal::because(principal, act, &format!("with an explicit deny in {kind} policy"))
        };
        match decide(&self.policies, &request) {
            Decision::Denied => return Err(denied("an identity-based")),
            Decision::NotAllowed => return Err(Refusal::not_allowed(principal, act)),
            Decision::Allowed => {}
        }
        match self.session.as_ref().map(|policies| decide(policies, &request)) {
            None | Some(Decision::Allowed) => Ok(()),
            Some(Decision::Denied) => Err(denied("a session")),
            Some(Decision::NotAllowed) => {
                let why = format!("because no session policy allows the {} action", act.action);
                // The session was given less than its role: a policy of the resource does not give it more.
                Err(Refusal { is_explicit: true, ..Refusal::because(principal, act, &why) })
            }
        }
    }
}

/// Whether a key may do an operation of a kind with a function (`None`: with no function in particular).
pub(crate) fn permits(principal: &Principal, access: Access, function: Option<&str>) -> bool {
    match principal.authority {
        Authority::Key => {}
        Authority::UnmadeRole => return matches!(access, Access::Invoke),
        Authority::Policies(_) => return false,
    }
    let role_allows = match principal.role {
        Role::Admin | Role::Deployer => true,
        Role::Invoker => matches!(access, Access::Read | Access::Invoke),
        Role::Viewer => matches!(access, Access::Read),
    };
    role_allows && function.is_none_or(|name| glob_matches(&principal.functions, name))
}

#[cfg(test)]
mod tests {
    use super::{Act, Authority, Grants, permits};
    use std::sync::Arc;
    use std::time::Instant;

    use crate::auth::{Principal, RoleSession};
    use wuwei_model::FunctionKey;
    use wuwei_model::iam::{ContextKeys, PolicyDocument};
    use wuwei_model::service::Access;
    use wuwei_store::Role;

    fn holder(role: Role, functions: &str) -> Principal {
        let mut principal = Principal::unchecked(None, "000000000000");
        principal.role = role;
        functions.clone_into(&mut principal.functions);
        principal
    }

    fn session() -> Principal {
        let key = FunctionKey { account: "0".to_owned(), region: "r".to_owned(), name: "f".to_owned() };
        let session = RoleSession::begin(key, "arn:aws:iam::0:role/r".to_owned().into(), Instant::now()).unwrap();
        Principal::of_session(&Arc::new(session))
    }

    #[test]
    fn each_role_includes_the_one_below_it() {
        let check = |role, expected: [bool; 3]| {
            let kinds = [Access::Read, Access::Invoke, Access::Write];
            assert_eq!(kinds.map(|kind| permits(&holder(role, "*"), kind, Some("any"))), expected, "{role:?}");
        };
        check(Role::Viewer, [true, false, false]);
        check(Role::Invoker, [true, true, false]);
        check(Role::Deployer, [true, true, true]);
        check(Role::Admin, [true, true, true]);
    }

    #[test]
    fn a_function_without_a_made_role_may_invoke_and_nothing_else_whatever_its_fields_say() {
        let mut principal = session();
        principal.role = Role::Admin;
        let kinds = [Access::Read, Access::Invoke, Access::Write];
        assert_eq!(kinds.map(|kind| permits(&principal, kind, Some("any"))), [false, true, false]);
        assert!(!permits(&principal, Access::Read, None) && !principal.is_administrator());
    }

    #[test]
    fn the_pattern_bounds_functions_but_not_lists() {
        let principal = holder(Role::Deployer, "team-*");
        assert!(permits(&principal, Access::Write, Some("team-a")));
        assert!(!permits(&principal, Access::Read, Some("other")));
        assert!(permits(&principal, Access::Read, None));
    }

    #[test]
    fn policies_decide_for_a_role_and_a_session_gets_no_more_than_it_was_given() {
        let policy =
            |statement: &str| PolicyDocument::parse_identity(&format!(r#"{{"Statement":{statement}}}"#)).unwrap();
        let role = policy(
            r#"[{"Effect":"Allow","Action":"lambda:*","Resource":"*"},{"Effect":"Deny","Action":"lambda:DeleteFunction","Resource":"*"}]"#,
        );
        let given = policy(r#"{"Effect":"Allow","Action":"lambda:Get*","Resource":"*"}"#);
        let refusal = |session: Option<Vec<PolicyDocument>>, action: &str| {
            let grants = Grants { policies: vec![role.clone()], session, context: ContextKeys::default() };
            let principal =
                Principal { authority: Authority::Policies(Arc::new(grants)), role: Role::Admin, ..self::session() };
            assert!(!principal.is_administrator() && !permits(&principal, Access::Read, None));
            let act = Act { action, resource: "*", access: Access::Read };
            principal.may(&act, Some("f")).err().map(|refusal| (refusal.to_string(), refusal.is_explicit))
        };
        let who = "User: arn:aws:sts::0:assumed-role/r/f is not authorized to perform:";
        assert_eq!(refusal(None, "lambda:GetFunction"), None);
        assert_eq!(
            refusal(None, "iam:GetRole").unwrap(),
            (
                format!(
                    "{who} iam:GetRole on resource: * because no identity-based policy allows the iam:GetRole action"
                ),
                false
            )
        );
        assert_eq!(
            refusal(None, "lambda:DeleteFunction").unwrap(),
            (
                format!("{who} lambda:DeleteFunction on resource: * with an explicit deny in an identity-based policy"),
                true
            )
        );
        assert_eq!(refusal(Some(vec![given.clone()]), "lambda:GetFunction"), None);
        assert_eq!(
            refusal(Some(vec![given]), "lambda:ListFunctions").unwrap(),
            (
                format!(
                    "{who} lambda:ListFunctions on resource: * because no session policy allows the lambda:ListFunctions action"
                ),
                true
            )
        );
    }
}
