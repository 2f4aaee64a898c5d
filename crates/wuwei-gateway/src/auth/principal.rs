//! The caller, once believed.

use std::sync::Arc;

use wuwei_store::{AccessKey, Role};

use super::RoleSession;

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
    /// The session of a function's role, when that is who signed: it decides what is allowed, `role` and `functions` do
    /// not.
    pub(crate) session: Option<Arc<RoleSession>>,
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
        }
    }

    /// `arn:aws:iam::<account>:user/<key id>`, or the assumed role of a session.
    pub(crate) fn arn(&self) -> String {
        match &self.session {
            Some(session) => session.arn(),
            None => format!("arn:aws:iam::{}:user/{}", self.account, self.key_id),
        }
    }

    /// What STS calls `UserId`.
    pub(crate) fn user_id(&self) -> String {
        self.session.as_ref().map_or_else(|| self.key_id.clone(), |session| session.user_id())
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
