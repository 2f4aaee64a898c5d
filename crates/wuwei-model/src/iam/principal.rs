//! Whom a statement of a trust policy names.

/// Somebody who asks, by the names under which a policy may mean them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'request> {
    /// A user, or an assumed role.
    Identity {
        /// Twelve digits.
        account: &'request str,
        /// ARN of the user or of the session.
        arn: &'request str,
        /// ARN of the role that a session is of.
        role: Option<&'request str>,
    },
    /// A service, for example `lambda.amazonaws.com`.
    Service(&'request str),
}

/// What a trust policy says to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustDecision {
    /// They are named themselves: that is enough within the account.
    Named,
    /// Their account is named: whoever the account lets.
    Account,
    /// A statement denies it.
    Denied,
    /// Nothing is said.
    Nothing,
}

/// The `Principal` of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principals {
    Everyone,
    Some { aws: Vec<String>, services: Vec<String> },
}

impl Principals {
    /// `None` when they are not meant.
    pub(super) fn names(&self, named: &Named<'_>) -> Option<TrustDecision> {
        match (self, named) {
            (Self::Everyone, _) => Some(TrustDecision::Named),
            (Self::Some { services, .. }, Named::Service(service)) => {
                services.iter().any(|known| known == service).then_some(TrustDecision::Named)
            }
            (Self::Some { aws, .. }, Named::Identity { account, arn, role }) => {
                if aws.iter().any(|known| known == "*" || known == arn || Some(known.as_str()) == *role) {
                    return Some(TrustDecision::Named);
                }
                let root = format!("arn:aws:iam::{account}:root");
                aws.iter().any(|known| known == account || *known == root).then_some(TrustDecision::Account)
            }
        }
    }
}
