//! The caller, once believed.

use std::sync::Arc;

use wuwei_store::{AccessKey, Role};

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
    /// The key itself; `None` when checking is off.
    pub(crate) key: Option<Arc<AccessKey>>,
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
        }
    }

    /// `arn:aws:iam::<account>:user/<key id>`.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.key_id)
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
