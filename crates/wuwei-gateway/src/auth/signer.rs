//! Who signed a request, once known: what the signature is checked with, and who is believed if it holds.

use std::sync::Arc;

use wuwei_store::AccessKey;

use super::authorization::Claim;
use super::signature::{sign_canonical, sign_with, signing_key};
use super::{AssumedRole, AuthError, Principal, RoleSession, Scope};

/// The holder of a secret.
pub(crate) enum Signer {
    /// Of a key of the store.
    Key(Arc<AccessKey>),
    /// Of the temporary credentials of a function.
    Session(Arc<RoleSession>),
    /// Of the temporary credentials of a role that was assumed.
    Assumed(Arc<AssumedRole>),
}

impl Signer {
    /// Signature of a canonical request by this signer.
    pub(super) fn sign(&self, scope: &Scope, time: &str, canonical_request: &str) -> String {
        let (secret, derived) = match self {
            Self::Key(key) => (key.secret.as_str(), &key.derived),
            Self::Session(session) => (session.secret(), session.derived()),
            Self::Assumed(assumed) => return sign_canonical(assumed.secret(), scope, time, canonical_request),
        };
        let text = scope.text();
        let key = derived.get(&text, || signing_key(secret, scope));
        sign_with(&key, &text, time, canonical_request)
    }

    pub(super) fn principal(&self) -> Principal {
        match self {
            Self::Key(key) => Principal::of(Arc::clone(key)),
            Self::Session(session) => Principal::of_session(session),
            Self::Assumed(assumed) => Principal::of_assumed(assumed),
        }
    }
}

/// The long-lived key that a claim names. A claim with a session token names another kind of credentials.
pub(crate) fn held_by(claim: &Claim, lookup: impl FnOnce(&str) -> Option<Arc<AccessKey>>) -> Result<Signer, AuthError> {
    if claim.session_token.is_some() {
        return Err(AuthError::UnknownToken);
    }
    lookup(&claim.key_id).map(Signer::Key).ok_or(AuthError::UnknownToken)
}
