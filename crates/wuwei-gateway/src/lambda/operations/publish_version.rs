//! `PublishVersion`.

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{lookup, publication, unsupported};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    unsupported::refuse(&call.members)?;
    let (function, revision) = lookup::changeable(&call.parts, call.target(), call.text("RevisionId")).await?;
    let current = function.latest.code.digest.to_string();
    if let Some(expected) = call.text("CodeSha256").filter(|expected| !expected.is_empty() && *expected != current) {
        return Err(ApiError::invalid_parameter(format!(
            "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({current}). Please try again \
             with the CodeSHA256 in $LATEST."
        )));
    }
    let version = match publication::unchanged(&call.parts, &function).await? {
        Some(version) => version,
        None => publication::publish(&call.parts, function, revision, call.text("Description")).await?.0,
    };
    Ok(Reply::Members(configuration(&version, View::FULL.qualified(true))))
}
