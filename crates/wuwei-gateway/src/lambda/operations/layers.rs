//! `PublishLayerVersion`, `GetLayerVersion`, `GetLayerVersionByArn`, `ListLayers`, `ListLayerVersions` and
//! `DeleteLayerVersion`.

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::{Architecture, LayerKey, LayerVersion, Policy, Runtime};
use wuwei_store::Layer;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::layers::{Filter, item, key_of, number_of, own_key_of, shown, visible};
use super::super::marker::{Position, page_size};
use super::super::package;
use super::now_ms;

/// Layers that are read at a time.
const LAYERS_AT_A_TIME: usize = 50;
/// Longest ARN of a version, in characters: the model's.
const VERSION_ARN_MAX: usize = 140;
/// More versions than any layer gets.
const NUMBER_MAX: u64 = 9_999_999_999;

pub(super) async fn publish(call: &Call) -> Result<Reply, ApiError> {
    let key = own_key_of(call, "PublishLayerVersion")?;
    if key.version_arn(NUMBER_MAX).len() > VERSION_ARN_MAX {
        let text =
            format!("The ARNs of versions of layer {} would be longer than {VERSION_ARN_MAX} characters", key.name);
        return Err(ApiError::invalid_parameter(text));
    }
    let zip = package::zip_of(call.members.get("Content").and_then(Value::as_object), "PublishLayerVersion")?;
    // Kept until the layer names it.
    let package = call.parts.store.packages().admit(zip).await.map_err(|error| package::refusal(&error))?;
    let texts = |name: &str| {
        let items = call.members.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str)
    };
    let architecture = |text| match text {
        "arm64" => Architecture::Arm64,
        _x86_64 => Architecture::X86_64,
    };
    let version = LayerVersion {
        code: package.code.clone(),
        description: call.text("Description").map(str::to_owned),
        license: call.text("LicenseInfo").map(str::to_owned),
        compatible_runtimes: texts("CompatibleRuntimes").map(Runtime::new).collect(),
        compatible_architectures: texts("CompatibleArchitectures").map(architecture).collect(),
        created_ms: now_ms(),
        policy: Policy::default(),
        imported: false,
    };
    let number = call.parts.store.layers().publish(&key, &version).await?;
    Ok(Reply::Members(shown(call, &key, number, &version)))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let (key, number) = (key_of(call)?, number_of(call));
    let version = visible(call, &key, number).await?;
    Ok(Reply::Members(shown(call, &key, number, &version)))
}

pub(super) async fn get_by_arn(call: &Call) -> Result<Reply, ApiError> {
    let arn = call.text("Arn").unwrap_or_default();
    let (key, number) =
        LayerKey::of_version_arn(arn).map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
    let version = visible(call, &key, number).await?;
    Ok(Reply::Members(shown(call, &key, number, &version)))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let key = own_key_of(call, "DeleteLayerVersion")?;
    // Succeeds at AWS, too, when there is none.
    call.parts.store.layers().delete_version(&key, number_of(call)).await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

/// Each layer with the last of its versions that the filter takes.
pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let size = page_size(call.number("MaxItems"));
    let mut after = Position::decode(call.text("Marker"))?.map(|position| position.name);
    let filter = Filter::of(call);
    let mut items: Vec<(String, Value)> = Vec::new();
    // One more than a page shows that there is a next one.
    while items.len() <= size {
        let layers = call.parts.store.layers().list(account, region, after.as_deref(), LAYERS_AT_A_TIME).await?;
        let Some(last) = layers.last() else { break };
        after = Some(last.key.name.clone());
        items.extend(layers.iter().filter_map(|layer| Some((layer.key.name.clone(), listed(layer, &filter)?))));
    }
    let has_more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| has_more).map(|(name, _)| Position { name: name.clone(), version: None });
    Ok(page("Layers", items.into_iter().map(|(_, item)| item).collect(), next.as_ref()))
}

fn listed(layer: &Layer, filter: &Filter<'_>) -> Option<Value> {
    let (number, version) = layer.versions.iter().rev().find(|(_, version)| filter.takes(version))?;
    Some(json!({
        "LayerName": layer.key.name,
        "LayerArn": layer.key.arn(),
        "LatestMatchingVersion": item(&layer.key, *number, version),
    }))
}

/// The last one first.
pub(super) async fn list_versions(call: &Call) -> Result<Reply, ApiError> {
    let key = key_of(call)?;
    if key.account != call.principal.account {
        let (user, action) = (call.principal.arn(), "lambda:ListLayerVersions");
        return Err(ApiError::denied_by_resource(&user, action, &key.arn()));
    }
    let size = page_size(call.number("MaxItems"));
    let before = Position::decode(call.text("Marker"))?.and_then(|position| position.version).unwrap_or(u64::MAX);
    let filter = Filter::of(call);
    let found = call.parts.store.layers().get(&key).await?;
    let versions = found.map(|(layer, _)| layer.versions).unwrap_or_default();
    let mut left = versions.range(..before).rev().filter(|(_, version)| filter.takes(version)).peekable();
    let page_items: Vec<_> = left.by_ref().take(size).collect();
    let next = left
        .peek()
        .and_then(|_more| page_items.last())
        .map(|(number, _)| Position { name: key.name.clone(), version: Some(**number) });
    let items = page_items.iter().map(|(number, version)| Value::Object(item(&key, **number, version))).collect();
    Ok(page("LayerVersions", items, next.as_ref()))
}

fn page(name: &str, items: Vec<Value>, next: Option<&Position>) -> Reply {
    let mut members = Map::from_iter([(name.to_owned(), Value::Array(items))]);
    if let Some(next) = next {
        members.insert("NextMarker".to_owned(), next.encode().into());
    }
    Reply::Members(members)
}
