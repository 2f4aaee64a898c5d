//! `UpdateFunctionConfiguration`.

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{code_signing, layer_use, lookup, role, settings, settlement, unsupported};
use super::{check_runtime, mark_changed, store_change};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    unsupported::refuse(&call.members)?;
    let (mut function, revision) = lookup::changeable(&call.parts, call.target(), call.text("RevisionId")).await?;
    let role = role::given(call, Some(&function.latest.settings.role))?;
    settings::update(&mut function.latest.settings, &call.members)?;
    if let Some(role) = role {
        function.latest.settings.role = role;
    }
    if call.text("Runtime").is_some() {
        check_runtime(&call.parts, &function.latest.settings.runtime)?;
    }
    let mut held = None;
    if let Some((layers, layers_held)) = layer_use::read(call).await? {
        if !layers.is_empty() && layers != function.latest.settings.layers {
            code_signing::check_code(call, function.code_signing.as_deref()).await?;
        }
        // The code too: its size counts, and another change may be about to replace it.
        let code = call.parts.store.packages().begin_use(&function.latest.code.digest);
        let merged = layer_use::prepare(&call.parts, &function.latest.code, &layers).await?;
        function.latest.settings.layers = layers;
        held = Some((layers_held, code, merged));
    }
    mark_changed(&mut function.latest);
    store_change(&call.parts, &function, revision).await?;
    drop(held);
    settlement::begin(&call.parts, call.key().clone(), function.latest.revision_id.clone());
    Ok(Reply::Members(configuration(&function.latest, View::FULL)))
}
