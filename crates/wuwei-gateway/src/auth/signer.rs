//! Who signed a request, once known: what the signature is checked with, and who is believed if it holds.

use std::sync::Arc;

use wuwei_store::AccessKey;

use super::authorization::Claim;
use super::{AuthError, Principal, RoleSession};

/// The holder of a secret.
pub(crate) enum Signer {
    /// Of a key of the store.
    Key(Arc<AccessKey>),
    /// Of the temporary credentials of a function.
    Session(Arc<RoleSession>),
}

impl Signer {
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::Key(key) => &key.secret,
            Self::Session(session) => session.secret(),
        }
    }

    pub(super) fn principal(&self) -> Principal {
        match self {
            Self::Key(key) => Principal::of(Arc::clone(key)),
            Self::Session(session) => Principal::of_session(session),
        }
    }
}

/// The long-lived key that a claim names. Temporary credentials are good in the place that they were made for only.
pub(crate) fn held_by(claim: &Claim, lookup: impl FnOnce(&str) -> Option<Arc<AccessKey>>) -> Result<Signer, AuthError> {
    if claim.session_token.is_some() {
        return Err(AuthError::UnknownToken);
    }
    lookup(&claim.key_id).map(Signer::Key).ok_or(AuthError::UnknownToken)
}
