//! Layers: which one a call means, who may use it, how its versions are shown.

use serde_json::{Map, Value, json};
use wuwei_model::service::Access;
use wuwei_model::{Architecture, LayerKey, LayerVersion, PolicyQuestion, Runtime};
use wuwei_store::{Layer, Revision};

use super::call::Call;
use super::code;
use super::configuration::timestamp;
use super::error::ApiError;
use crate::auth::permits;

/// IAM's name for using a layer.
pub(crate) const GET_LAYER_VERSION: &str = "lambda:GetLayerVersion";
/// AWS's words for a version that is not there.
const MISSING: &str = "The resource you requested does not exist.";

/// The layer that `LayerName` names: a name or an ARN, which have passed validation.
pub(super) fn key_of(call: &Call) -> Result<LayerKey, ApiError> {
    let name = call.text("LayerName").unwrap_or_default();
    if name.contains(':') {
        let key = LayerKey::of_arn(name);
        return key.ok_or_else(|| ApiError::invalid_parameter(format!("{name} is not the ARN of a layer")));
    }
    let (account, region) = (call.principal.account.clone(), call.parts.options.region.clone());
    Ok(LayerKey { account, region, name: name.to_owned() })
}

/// The same for a call that changes something: the layer is the caller's own, and its name one that the key is for.
pub(super) fn own_key_of(call: &Call, operation: &str) -> Result<LayerKey, ApiError> {
    let key = key_of(call)?;
    let is_own = key.account == call.principal.account && key.region == call.parts.options.region;
    // Policies have been asked about this layer before.
    let is_allowed = call.principal.has_policies() || permits(&call.principal, Access::Write, Some(&key.name));
    if is_own && is_allowed {
        return Ok(key);
    }
    Err(ApiError::access_denied(&call.principal.arn(), &format!("lambda:{operation}"), &key.arn()))
}

/// The number that `VersionNumber` names; 0, which no version has, for what is none.
pub(super) fn number_of(call: &Call) -> u64 {
    call.number("VersionNumber").unwrap_or_default()
}

/// A version that the caller may see.
pub(super) async fn visible(call: &Call, key: &LayerKey, number: u64) -> Result<LayerVersion, ApiError> {
    let found = call.parts.store.layers().get(key).await?;
    let found = found.and_then(|(layer, _)| layer.versions.get(&number).cloned());
    match found {
        Some(version) if may_use(call, key, &version) => Ok(version),
        Some(_) => Err(denied(call, key, number)),
        None if key.account == call.principal.account => Err(ApiError::not_found(MISSING)),
        // Whether another account has it is not told.
        None => Err(denied(call, key, number)),
    }
}

/// A version of the caller's own, with its layer.
pub(super) async fn own(call: &Call, key: &LayerKey, number: u64) -> Result<(Layer, Revision), ApiError> {
    let found = call.parts.store.layers().get(key).await?;
    let found = found.filter(|(layer, _)| layer.versions.contains_key(&number));
    found.ok_or_else(|| ApiError::not_found(format!("Layer version {} does not exist.", key.version_arn(number))))
}

/// Whether the caller's account may use a version: its own, one that was brought here, or one whose policy allows it.
pub(super) fn may_use(call: &Call, key: &LayerKey, version: &LayerVersion) -> bool {
    if key.account == call.principal.account || version.imported {
        return true;
    }
    let names = call.principal.names();
    let caller = Some(names.caller_of(&key.account));
    let question = PolicyQuestion { action: GET_LAYER_VERSION, caller, url_auth_type: None, via_url: false };
    version.policy.allows(&question)
}

/// AWS's refusal of a layer of another account.
pub(super) fn denied(call: &Call, key: &LayerKey, number: u64) -> ApiError {
    ApiError::denied_by_resource(&call.principal.arn(), GET_LAYER_VERSION, &key.version_arn(number))
}

/// A version as it is published and read.
pub(super) fn shown(call: &Call, key: &LayerKey, number: u64, version: &LayerVersion) -> Map<String, Value> {
    let mut members = item(key, number, version);
    members.insert("LayerArn".to_owned(), json!(key.arn()));
    let digest = &version.code.digest;
    let path = format!("layers/{}/{}/{}/{number}/{}", key.account, key.region, key.name, digest.to_hex());
    let content = json!({
        "Location": code::signed_url(call, &path),
        "CodeSha256": digest.to_string(),
        "CodeSize": version.code.size_bytes,
    });
    members.insert("Content".to_owned(), content);
    members
}

/// A version as an item of a list.
pub(super) fn item(key: &LayerKey, number: u64, version: &LayerVersion) -> Map<String, Value> {
    let LayerVersion { description, license, compatible_runtimes, compatible_architectures, created_ms, .. } = version;
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("LayerVersionArn", json!(key.version_arn(number)));
    set("Version", json!(number));
    // Empty, not absent, where none was given.
    set("Description", json!(description.as_deref().unwrap_or_default()));
    set("CreatedDate", json!(timestamp(*created_ms)));
    if !compatible_runtimes.is_empty() {
        set("CompatibleRuntimes", compatible_runtimes.iter().map(Runtime::as_str).collect());
    }
    if let Some(license) = license {
        set("LicenseInfo", json!(license));
    }
    if !compatible_architectures.is_empty() {
        set("CompatibleArchitectures", compatible_architectures.iter().map(|known| known.as_str()).collect());
    }
    members
}

/// What a list is asked for.
pub(super) struct Filter<'call> {
    runtime: Option<&'call str>,
    architecture: Option<&'call str>,
}

impl<'call> Filter<'call> {
    /// The filter of a call.
    pub(super) fn of(call: &'call Call) -> Self {
        Self { runtime: call.text("CompatibleRuntime"), architecture: call.text("CompatibleArchitecture") }
    }

    /// Whether a version says that it is compatible.
    pub(super) fn takes(&self, version: &LayerVersion) -> bool {
        let runtimes = || version.compatible_runtimes.iter().map(Runtime::as_str);
        let architectures = || version.compatible_architectures.iter().copied().map(Architecture::as_str);
        self.runtime.is_none_or(|wanted| runtimes().any(|known| known == wanted))
            && self.architecture.is_none_or(|wanted| architectures().any(|known| known == wanted))
    }
}
