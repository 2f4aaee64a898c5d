//! `UpdateFunctionConfiguration`.

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{lookup, settings, settlement, unsupported};
use super::{check_runtime, mark_changed, store_change};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    unsupported::refuse(&call.members)?;
    let (mut function, revision) = lookup::changeable(&call.parts, call.target(), call.text("RevisionId")).await?;
    settings::update(&mut function.latest.settings, &call.members)?;
    if call.text("Runtime").is_some() {
        check_runtime(&call.parts, &function.latest.settings.runtime)?;
    }
    mark_changed(&mut function.latest);
    store_change(&call.parts, &function, revision).await?;
    settlement::begin(&call.parts, call.key().clone(), function.latest.revision_id.clone());
    Ok(Reply::Members(configuration(&function.latest, View::FULL)))
}
