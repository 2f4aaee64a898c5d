//! The layers that a function asks for.

use serde_json::Value;
use wuwei_model::service::Access;
use wuwei_model::{CodeDigest, FunctionCode, LayerKey, LayerReference, limits};
use wuwei_store::PackageUse;

use super::call::Call;
use super::error::ApiError;
use super::{layers, package};
use crate::auth::Act;
use crate::gateway::Parts;

/// Packages that stay while this lives: until the function that names them is stored.
pub(super) struct Held(#[expect(dead_code, reason = "kept, never looked at")] Vec<PackageUse>);

/// The layers that the `Layers` member of a call names, in order; `None` where it names none.
pub(super) async fn read(call: &Call) -> Result<Option<(Vec<LayerReference>, Held)>, ApiError> {
    let Some(named) = call.members.get("Layers").and_then(Value::as_array) else { return Ok(None) };
    if named.len() > limits::LAYERS_MAX {
        let text = format!("Cannot reference more than {} layers.", limits::LAYERS_MAX);
        return Err(ApiError::invalid_parameter(text));
    }
    let mut references: Vec<LayerReference> = Vec::new();
    let mut held = Vec::new();
    for arn in named.iter().filter_map(Value::as_str) {
        let (key, number) =
            LayerKey::of_version_arn(arn).map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
        if references.iter().any(|known| known.key == key) {
            return Err(ApiError::invalid_parameter(
                "Two different versions of the same layer are not allowed to be referenced in the same function.",
            ));
        }
        let code = find(call, &key, number).await?;
        held.push(call.parts.store.packages().begin_use(&code.digest));
        references.push(LayerReference { key, version: number, code });
    }
    Ok(Some((references, Held(held))))
}

async fn find(call: &Call, key: &LayerKey, number: u64) -> Result<FunctionCode, ApiError> {
    let found = call.parts.store.layers().get(key).await?;
    let found = found.and_then(|(layer, _)| layer.versions.get(&number).cloned());
    let arn = key.version_arn(number);
    if call.principal.has_policies() {
        let act = Act { action: layers::GET_LAYER_VERSION, resource: &arn, access: Access::Read };
        call.principal.may(&act, None).map_err(|refusal| ApiError::refused(&refusal))?;
    }
    match found {
        Some(version) if layers::may_use(call, key, &version) => Ok(version.code),
        Some(_) => Err(layers::denied(call, key, number)),
        None if key.account == call.principal.account && key.region == call.parts.options.region => {
            Err(ApiError::invalid_parameter(format!("Layer version {arn} does not exist.")))
        }
        None => Err(ApiError::invalid_parameter(format!(
            "Layer version {arn} does not exist. Layers of other accounts and regions are not fetched: download the \
             layer there, and bring it here with: wuwei layer import FILE --arn {arn}"
        ))),
    }
}

/// Refuses code that is too large together with its layers, and puts the layers together for the sandboxes.
///
/// The code and the layers must be in use meanwhile.
pub(super) async fn prepare(
    parts: &Parts,
    code: &FunctionCode,
    references: &[LayerReference],
) -> Result<Option<PackageUse>, ApiError> {
    if references.is_empty() {
        return Ok(None);
    }
    let packages = parts.store.packages();
    let bytes = packages.unpacked_bytes(vec![code.digest]).await.map_err(|error| package::refusal(&error))?;
    check_size(parts, bytes, references).await?;
    let layers = references.iter().map(|layer| layer.code.digest).collect();
    packages.merge(layers).await.map_err(|error| package::refusal(&error))
}

/// Refuses code of so many bytes, unpacked, that is too large together with its layers.
pub(super) async fn check_size(parts: &Parts, code_bytes: u64, references: &[LayerReference]) -> Result<(), ApiError> {
    let layers: Vec<CodeDigest> = references.iter().map(|layer| layer.code.digest).collect();
    let layers = parts.store.packages().unpacked_bytes(layers).await.map_err(|error| package::refusal(&error))?;
    let bytes = code_bytes + layers;
    if bytes > limits::UNPACKED_BYTES_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {} bytes. The actual size is \
             {bytes} bytes.",
            limits::UNPACKED_BYTES_MAX
        )));
    }
    Ok(())
}
