//! Who asks, and what they may do: SigV4 verification, the roles of access keys, the policies of roles.

mod assumed;
mod authorization;
mod canonical;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grants;
mod instant;
mod permission;
mod principal;
mod session;
mod signature;
mod signer;
mod verify;

pub(crate) use assumed::{AssumedRole, SessionPolicies};
pub(crate) use authorization::{claimed_service, key_id as claimed_key_id};
pub(crate) use canonical::{CanonicalParts, canonical_request, decode_query};
pub(crate) use error::AuthError;
pub(crate) use grants::{Arrival, LAMBDA, context_of, document_of, equip, role_of_arn, trusts_lambda};
pub(crate) use instant::{basic_date, basic_time};
pub(crate) use permission::{Act, Authority, Refusal, permits};
pub(crate) use principal::Principal;
pub(crate) use session::{RoleSession, new_unique_id};
pub(crate) use signature::{ALGORITHM, EMPTY_BODY_HASH, Scope, UNSIGNED_PAYLOAD, sign_canonical};
pub(crate) use signer::{Signer, held_by};
pub(crate) use verify::{BodyCheck, Verifier, unchecked};

#[cfg(test)]
mod tests;

/// Whether signatures are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Every call is signed with a key of the store (the default).
    Signed,
    /// Any signature, or none, is accepted with all rights; an access key id of twelve digits names the account.
    /// Only for a loopback listener.
    Off,
}
