//! IAM's policies: what a document says, and whether it lets somebody do something.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html> and
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>.

mod condition;
mod document;
mod evaluate;
mod managed;
mod principal;
mod request;
mod strict_json;
mod variables;

pub use document::{MalformedPolicyError, PolicyDocument};
pub use evaluate::{Decision, decide};
pub use managed::{MANAGED_POLICIES, ManagedPolicy, managed_policy};
pub use principal::{Named, TrustDecision};
pub use request::{AccessRequest, ContextKeys};

#[cfg(test)]
mod tests;
