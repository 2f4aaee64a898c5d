//! From policies to a decision.

use super::document::{Choice, PolicyDocument, Statement};
use super::principal::{Named, TrustDecision};
use super::request::{AccessRequest, ContextKeys};
use super::variables::{self, Piece};
use crate::glob_matches;

/// What policies say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement allows it.
    NotAllowed,
}

/// What the policies of an identity say: one statement that denies outweighs all that allow.
pub fn decide<'policy>(
    policies: impl IntoIterator<Item = &'policy PolicyDocument>,
    request: &AccessRequest<'_>,
) -> Decision {
    let mut decision = Decision::NotAllowed;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        if statement.is_about(request) {
            if !statement.is_allow {
                return Decision::Denied;
            }
            decision = Decision::Allowed;
        }
    }
    decision
}

impl PolicyDocument {
    /// What a trust policy says to somebody who wants to assume the role.
    #[must_use]
    pub fn trusts(&self, named: &Named<'_>, action: &str, context: &ContextKeys) -> TrustDecision {
        let mut decision = TrustDecision::Nothing;
        for statement in &self.statements {
            let Some((principals, is_negated)) = &statement.principals else { continue };
            let meant = match (principals.names(named), is_negated) {
                (Some(how), false) => how,
                (None, true) => TrustDecision::Named,
                (None, false) | (Some(_), true) => continue,
            };
            if !statement.actions.includes_action(action) || !statement.is_met(context) {
                continue;
            }
            if !statement.is_allow {
                return TrustDecision::Denied;
            }
            decision = match (decision, meant) {
                (TrustDecision::Named, _) | (_, TrustDecision::Named) => TrustDecision::Named,
                (_, other) => other,
            };
        }
        decision
    }
}

impl Statement {
    fn is_about(&self, request: &AccessRequest<'_>) -> bool {
        self.actions.includes_action(request.action) && self.includes_resource(request) && self.is_met(request.context)
    }

    fn is_met(&self, context: &ContextKeys) -> bool {
        self.conditions.iter().all(|condition| condition.is_met(context, self.is_allow))
    }

    fn includes_resource(&self, request: &AccessRequest<'_>) -> bool {
        let resolve = |pattern: &String| variables::resolve(pattern, request.context, self.language);
        let is_named = |pieces: Vec<Piece>| variables::matches(&pieces, request.resource);
        match &self.resources {
            None => false,
            Some(Choice::Only(patterns)) => patterns.iter().filter_map(resolve).any(is_named),
            // All but something that is not known is not known: nobody is allowed that.
            Some(Choice::AllBut(patterns)) if self.is_allow => {
                patterns.iter().all(|pattern| resolve(pattern).is_some_and(|pieces| !is_named(pieces)))
            }
            Some(Choice::AllBut(patterns)) => !patterns.iter().filter_map(resolve).any(is_named),
        }
    }
}

impl Choice {
    /// Names of actions are the same in whatever case.
    fn includes_action(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let is_named =
            |patterns: &[String]| patterns.iter().any(|pattern| glob_matches(&pattern.to_ascii_lowercase(), &action));
        match self {
            Self::Only(patterns) => is_named(patterns),
            Self::AllBut(patterns) => !is_named(patterns),
        }
    }
}
