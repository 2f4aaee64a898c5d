//! Temporary credentials that `AssumeRole` gives: all that they mean is sealed in the session token, and nothing is stored.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use wuwei_store::{RoleRecord, Store};

use super::authorization::Claim;
use super::session::{new_key_id, new_secret};
use super::{AuthError, Signer};

/// A role, as somebody has assumed it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AssumedRole {
    pub(crate) account: String,
    pub(crate) role_name: String,
    pub(crate) role_arn: String,
    /// Id of the role: another one of the same name is not meant.
    pub(crate) role_id: String,
    pub(crate) session_name: String,
    /// Policies that were given with the session.
    pub(crate) bounds: Option<SessionPolicies>,
    pub(crate) key_id: String,
    secret: String,
    /// Seconds since the Unix epoch.
    issued_s: u64,
    /// Seconds since the Unix epoch.
    pub(crate) expires_s: u64,
}

/// Policies that bound a session: it may do what one of them allows, too.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct SessionPolicies {
    pub(crate) inline: Option<String>,
    /// Of shared policies: what they say when the session is used. One that is gone allows nothing.
    pub(crate) arns: Vec<String>,
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, role_name, session_name, key_id, expires_s, .. } = self;
        formatter
            .debug_struct("AssumedRole")
            .field("account", account)
            .field("role_name", role_name)
            .field("session_name", session_name)
            .field("key_id", key_id)
            .field("expires_s", expires_s)
            .finish_non_exhaustive()
    }
}

/// New credentials; no `Debug`, for they hold a secret.
pub(crate) struct Issued {
    pub(crate) assumed: AssumedRole,
    pub(crate) token: String,
}

impl Issued {
    pub(crate) fn secret(&self) -> &str {
        &self.assumed.secret
    }
}

impl AssumedRole {
    /// Makes credentials for a session of a role.
    pub(crate) fn issue(
        store: &Store,
        (account, role): (&str, &RoleRecord),
        session_name: &str,
        (now, lifetime): (SystemTime, Duration),
        bounds: Option<SessionPolicies>,
    ) -> Result<Issued, getrandom::Error> {
        let assumed = Self {
            account: account.to_owned(),
            role_name: role.name.clone(),
            role_arn: role.arn(account),
            role_id: role.id.clone(),
            session_name: session_name.to_owned(),
            bounds,
            key_id: new_key_id()?,
            secret: new_secret()?,
            issued_s: seconds(now),
            expires_s: seconds(now + lifetime),
        };
        let plain = serde_json::to_vec(&assumed).expect("the record has nothing that JSON lacks");
        let token = store.seal_token(&plain);
        Ok(Issued { assumed, token })
    }

    /// The session that a claim's token is for: only with its own key, within its time.
    pub(crate) fn admit(store: &Store, claim: &Claim, now: SystemTime) -> Result<Signer, AuthError> {
        let token = claim.session_token.as_ref().ok_or(AuthError::UnknownToken)?;
        let plain = store.unseal_token(&token.0).ok_or(AuthError::UnknownToken)?;
        let assumed: Self = serde_json::from_slice(&plain).map_err(|_error| AuthError::UnknownToken)?;
        if !bool::from(assumed.key_id.as_bytes().ct_eq(claim.key_id.as_bytes())) {
            return Err(AuthError::UnknownToken);
        }
        if seconds(now) >= assumed.expires_s {
            return Err(AuthError::ExpiredToken);
        }
        Ok(Signer::Assumed(Arc::new(assumed)))
    }

    /// `arn:aws:sts::<account>:assumed-role/<role name>/<session name>`.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/{}/{}", self.account, self.role_name, self.session_name)
    }

    /// `<id of the role>:<session name>`.
    pub(crate) fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.session_name)
    }

    pub(super) fn issued(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.issued_s)
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
