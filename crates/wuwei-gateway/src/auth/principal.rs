//! The caller, once believed.

use std::sync::Arc;

use wuwei_model::PolicyCaller;
use wuwei_store::{AccessKey, Role, RoleRecord};

use super::{AssumedRole, Authority, RoleSession};

/// Who signed a request.
#[derive(Clone)]
pub(crate) struct Principal {
    /// Twelve digits.
    pub(crate) account: String,
    /// Access key id; the account's id when checking is off.
    pub(crate) key_id: String,
    /// What the key may do.
    pub(crate) role: Role,
    /// Pattern of the function names that it may do it with.
    pub(crate) functions: String,
    /// The key itself; `None` when checking is off, and for a session.
    pub(crate) key: Option<Arc<AccessKey>>,
    /// The session of a function's role, when that is who signed.
    pub(crate) session: Option<Arc<RoleSession>>,
    /// The session of a role that somebody has assumed, when that is who signed.
    pub(crate) assumed: Option<Arc<AssumedRole>>,
    /// The role of a session, if somebody has made it.
    pub(crate) made_role: Option<Arc<RoleRecord>>,
    /// What decides what is allowed.
    pub(crate) authority: Authority,
}

impl Principal {
    /// The holder of a key.
    pub(crate) fn of(key: Arc<AccessKey>) -> Self {
        Self {
            account: key.account.clone(),
            key_id: key.id.clone(),
            role: key.role,
            functions: key.functions.clone(),
            key: Some(key),
            session: None,
            assumed: None,
            made_role: None,
            authority: Authority::Key,
        }
    }

    /// Anyone, when checking is off: an access key id of twelve digits names the account.
    pub(crate) fn unchecked(key_id: Option<&str>, default_account: &str) -> Self {
        let named = key_id.filter(|id| id.len() == 12 && id.bytes().all(|digit| digit.is_ascii_digit()));
        Self {
            account: named.unwrap_or(default_account).to_owned(),
            key_id: key_id.unwrap_or(default_account).to_owned(),
            role: Role::Admin,
            functions: "*".to_owned(),
            key: None,
            session: None,
            assumed: None,
            made_role: None,
            authority: Authority::Key,
        }
    }

    /// A function, under its role.
    pub(crate) fn of_session(session: &Arc<RoleSession>) -> Self {
        Self {
            account: session.account().to_owned(),
            key_id: session.key_id().to_owned(),
            role: Role::Viewer,
            functions: "*".to_owned(),
            key: None,
            session: Some(Arc::clone(session)),
            assumed: None,
            made_role: None,
            authority: Authority::UnmadeRole,
        }
    }

    /// Somebody who has assumed a role; allowed nothing before the policies of the role are known.
    pub(crate) fn of_assumed(assumed: &Arc<AssumedRole>) -> Self {
        Self {
            account: assumed.account.clone(),
            key_id: assumed.key_id.clone(),
            role: Role::Viewer,
            functions: "*".to_owned(),
            key: None,
            session: None,
            assumed: Some(Arc::clone(assumed)),
            made_role: None,
            authority: Authority::nothing(),
        }
    }

    /// `arn:aws:iam::<account>:user/<key id>`, or the assumed role of a session.
    pub(crate) fn arn(&self) -> String {
        match (&self.session, &self.assumed) {
            (Some(session), _) => session.arn(),
            (None, Some(assumed)) => assumed.arn(),
            (None, None) => format!("arn:aws:iam::{}:user/{}", self.account, self.key_id),
        }
    }

    /// How policies of an account's resources may name the caller.
    pub(crate) fn names(&self) -> Names {
        Names { account: self.account.clone(), arn: self.named_arn(), role_arn: self.role_arn() }
    }

    /// What the caller's session is called; nothing for a key.
    pub(crate) fn session_name(&self) -> &str {
        match (&self.session, &self.assumed) {
            (Some(session), _) => session.function_name(),
            (None, Some(assumed)) => &assumed.session_name,
            (None, None) => "",
        }
    }

    /// Whether policies decide, and not a key.
    pub(crate) fn has_policies(&self) -> bool {
        match self.authority {
            Authority::Policies(_) => true,
            Authority::Key | Authority::UnmadeRole => false,
        }
    }

    /// By which policies may name the caller. What a session without a made role calls itself is what somebody has
    /// written who deploys, and maybe another's name: no policy means it.
    pub(crate) fn named_arn(&self) -> String {
        let is_session = self.session.is_some() || self.assumed.is_some();
        if is_session && self.made_role.is_none() { String::new() } else { self.arn() }
    }

    /// ARN of the role that a session is of.
    pub(crate) fn role_arn(&self) -> Option<String> {
        self.made_role.as_ref().map(|role| role.arn(&self.account))
    }

    /// What STS calls `UserId`.
    pub(crate) fn user_id(&self) -> String {
        match (&self.session, &self.assumed) {
            (Some(session), _) => session.user_id(self.made_role.as_ref().map(|role| role.id.as_str())),
            (None, Some(assumed)) => assumed.user_id(),
            (None, None) => self.key_id.clone(),
        }
    }
}

/// The names of somebody, as policies write them.
pub(crate) struct Names {
    account: String,
    arn: String,
    role_arn: Option<String>,
}

impl Names {
    /// For the policy of something that this account owns.
    pub(crate) fn caller_of(&self, owner: &str) -> PolicyCaller<'_> {
        let Self { account, arn, role_arn } = self;
        PolicyCaller { account, arn, role_arn: role_arn.as_deref(), is_own: account == owner }
    }
}

#[cfg(test)]
mod tests {
    use super::Principal;

    #[test]
    fn without_checking_only_twelve_digits_name_an_account() {
        let check = |key_id, expected| {
            assert_eq!(Principal::unchecked(key_id, "000000000000").account, expected);
        };
        check(Some("123456789012"), "123456789012");
        check(Some("12345678901"), "000000000000");
        check(Some("AKIDEXAMPLE"), "000000000000");
        check(None, "000000000000");
    }
}
