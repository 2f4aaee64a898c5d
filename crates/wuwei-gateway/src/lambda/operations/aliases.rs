//! `CreateAlias`, `GetAlias`, `ListAliases`, `UpdateAlias` and `DeleteAlias`.

use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use wuwei_model::{Alias, AliasRoute, FunctionKey, Version, Weight};
use wuwei_store::{Function, Revision};

use super::super::call::{Call, Reply};
use super::super::configuration::LATEST;
use super::super::error::ApiError;
use super::super::lookup::{self, Qualifier, check_revision, read_qualifier};
use super::super::marker::{Position, page_of, page_size};
use super::super::provision;
use super::{CHANGE_ATTEMPTS, try_store};

pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let name = name_of(call);
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut function, revision) = found(call).await?;
        let alias = Alias {
            version: version_of(call)?.unwrap_or(Version::Latest),
            description: call.text("Description").unwrap_or_default().to_owned(),
            route: route_of(call, None)?,
            revision_id: Uuid::new_v4().to_string(),
        };
        check_versions(call, &alias).await?;
        if function.aliases.contains_key(name) {
            return Err(ApiError::conflict(format!("Alias already exists: {}", arn_of(call))));
        }
        function.aliases.insert(name.to_owned(), alias.clone());
        if try_store(&call.parts, &function, revision).await? {
            return Ok(Reply::Members(members(call.key(), name, &alias)));
        }
    }
    Err(ApiError::update_in_progress(&call.key().arn()))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let (function, _) = found(call).await?;
    let alias = function.aliases.get(name_of(call));
    let alias = alias.ok_or_else(|| ApiError::not_found(format!("Cannot find alias arn: {}", arn_of(call))))?;
    Ok(Reply::Members(members(call.key(), name_of(call), alias)))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let after = Position::decode(call.text("Marker"))?;
    let (function, _) = found(call).await?;
    let version = call.text("FunctionVersion");
    let wanted = |alias: &Alias| version.is_none_or(|version| alias.version.to_string() == version);
    let aliases = function.aliases.iter().filter(|(_, alias)| wanted(alias));
    let (page, next) = page_of(aliases, after.as_ref(), page_size(call.number("MaxItems")));
    let items: Vec<Value> = page.into_iter().map(|(name, alias)| members(call.key(), name, alias).into()).collect();
    let mut answer = Map::new();
    answer.insert("Aliases".to_owned(), items.into());
    if let Some(next) = next {
        answer.insert("NextMarker".to_owned(), next.into());
    }
    Ok(Reply::Members(answer))
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let name = name_of(call);
    // It may move instances that are kept.
    let _turn = call.parts.concurrency.lock().await;
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut function, revision) = found(call).await?;
        let alias = function.aliases.get_mut(name);
        let alias = alias.ok_or_else(|| ApiError::not_found(format!("Alias not found: {}", arn_of(call))))?;
        check_revision(&alias.revision_id, call.text("RevisionId"))?;
        if let Some(version) = version_of(call)? {
            alias.version = version;
        }
        if let Some(description) = call.text("Description") {
            description.clone_into(&mut alias.description);
        }
        alias.route = route_of(call, alias.route)?;
        alias.revision_id = Uuid::new_v4().to_string();
        let alias = alias.clone();
        check_versions(call, &alias).await?;
        let is_provisioned = function.provisioned_concurrency.contains_key(name);
        if is_provisioned && alias.version == Version::Latest {
            return Err(ApiError::invalid_parameter(
                "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
            ));
        }
        if try_store(&call.parts, &function, revision).await? {
            if is_provisioned {
                provision::apply(&call.parts, call.key()).await?;
            }
            return Ok(Reply::Members(members(call.key(), name, &alias)));
        }
    }
    Err(ApiError::update_in_progress(&call.key().arn()))
}

/// Also of an alias that is not there, as at AWS: there is no error for it in the model.
pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let name = name_of(call);
    let _turn = call.parts.concurrency.lock().await;
    for _attempt in 0..CHANGE_ATTEMPTS {
        let found = lookup::function(&call.parts, call.key()).await?;
        let Some((mut function, revision)) = found else { return Ok(Reply::Empty(StatusCode::NO_CONTENT)) };
        if function.aliases.remove(name).is_none() {
            return Ok(Reply::Empty(StatusCode::NO_CONTENT));
        }
        let is_provisioned = function.provisioned_concurrency.remove(name).is_some();
        let url = function.urls.remove(name);
        function.policies.remove(name);
        function.event_invoke.remove(name);
        if try_store(&call.parts, &function, revision).await? {
            if is_provisioned {
                provision::apply(&call.parts, call.key()).await?;
            }
            if let Some(url) = url {
                call.parts.store.functions().forget_url(&url.id).await;
            }
            return Ok(Reply::Empty(StatusCode::NO_CONTENT));
        }
    }
    Err(ApiError::update_in_progress(&call.key().arn()))
}

async fn found(call: &Call) -> Result<(Function, Revision), ApiError> {
    let found = lookup::function(&call.parts, call.key()).await?;
    found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))
}

fn name_of(call: &Call) -> &str {
    call.text("Name").unwrap_or_default()
}

fn arn_of(call: &Call) -> String {
    call.key().qualified_arn(name_of(call))
}

/// The version that a call names; `None` when it names none.
fn version_of(call: &Call) -> Result<Option<Version>, ApiError> {
    call.text("FunctionVersion").map(|text| read_version(call.key(), text)).transpose()
}

fn read_version(key: &FunctionKey, text: &str) -> Result<Version, ApiError> {
    match read_qualifier(Some(text)) {
        Qualifier::Latest => Ok(Version::Latest),
        Qualifier::Number(number) => Ok(Version::Published(number)),
        Qualifier::Name(name) => Err(ApiError::function_not_found(&key.qualified_arn(name))),
    }
}

/// The second version that a call asks for, or the one before, when it says nothing of it.
fn route_of(call: &Call, before: Option<AliasRoute>) -> Result<Option<AliasRoute>, ApiError> {
    let Some(config) = call.members.get("RoutingConfig") else { return Ok(before) };
    let weights = config.get("AdditionalVersionWeights").and_then(Value::as_object);
    let weights: Vec<_> = weights.into_iter().flatten().collect();
    match weights.as_slice() {
        [] => Ok(None),
        [(version, weight)] => {
            let weight = weight.as_f64().and_then(Weight::new);
            match (read_version(call.key(), version)?, weight) {
                (Version::Published(version), Some(weight)) => Ok(Some(AliasRoute { version, weight })),
                // The model's patterns and bounds let neither of them through.
                (Version::Latest, _) | (Version::Published(_), None) => {
                    Err(ApiError::function_not_found(&arn_of(call)))
                }
            }
        }
        _several => {
            Err(ApiError::invalid_parameter("Number of items in AdditionalVersionWeights cannot be greater than 1"))
        }
    }
}

/// Both versions are there and may share an alias. Read after the function: what changes meanwhile changes its revision.
async fn check_versions(call: &Call, alias: &Alias) -> Result<(), ApiError> {
    let first = match alias.version {
        Version::Latest => None,
        Version::Published(number) => Some(published(call, number).await?),
    };
    let Some(route) = alias.route else { return Ok(()) };
    let Some(first) = first else {
        return Err(ApiError::invalid_parameter(format!(
            "{LATEST} is not supported for an alias pointing to more than 1 version"
        )));
    };
    if first.version == Version::Published(route.version) {
        return Err(ApiError::invalid_parameter(format!(
            "Invalid function version {number}. Function version {number} is already included in routing configuration.",
            number = route.version
        )));
    }
    let second = published(call, route.version).await?;
    if first.settings.role.arn != second.settings.role.arn {
        return Err(ApiError::invalid_parameter("Specified versions must be associated with the same execution role"));
    }
    if first.settings.attachments.dead_letter != second.settings.attachments.dead_letter {
        return Err(ApiError::invalid_parameter(
            "Specified versions must be associated with the same dead letter target",
        ));
    }
    Ok(())
}

async fn published(call: &Call, number: u64) -> Result<wuwei_model::FunctionVersion, ApiError> {
    let found = call.parts.store.functions().version(call.key(), number).await?;
    found.ok_or_else(|| ApiError::function_not_found(&call.key().qualified_arn(&number.to_string())))
}

fn members(key: &FunctionKey, name: &str, alias: &Alias) -> Map<String, Value> {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("AliasArn", json!(key.qualified_arn(name)));
    set("Name", json!(name));
    set("FunctionVersion", json!(alias.version.to_string()));
    set("Description", json!(alias.description));
    if let Some(route) = alias.route {
        let weights = Map::from_iter([(route.version.to_string(), json!(route.weight.get()))]);
        set("RoutingConfig", json!({ "AdditionalVersionWeights": weights }));
    }
    set("RevisionId", json!(alias.revision_id));
    members
}
