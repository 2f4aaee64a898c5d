//! Code signing configurations, and which functions have one.

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::{CodeSigningConfig, UntrustedArtifact};
use wuwei_store::StoreError;

use super::super::call::{Call, Reply};
use super::super::code_signing::{check_may_change, check_named, missing, named, shown};
use super::super::error::ApiError;
use super::super::marker::{Position, page_size};
use super::super::{lookup, tags};
use super::{CHANGE_ATTEMPTS, change, no_function, now_ms};

/// Functions that are read at a time.
const FUNCTIONS_AT_A_TIME: usize = 200;
/// Characters of an id after `csc-`.
const ID_LENGTH: usize = 17;

pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    check_may_change(call, "CreateCodeSigningConfig")?;
    let mut config = CodeSigningConfig {
        account: call.principal.account.clone(),
        region: call.parts.options.region.clone(),
        id: format!("csc-{}", uuid::Uuid::new_v4().simple().to_string().chars().take(ID_LENGTH).collect::<String>()),
        description: None,
        publishers: Vec::new(),
        untrusted: UntrustedArtifact::default(),
        modified_ms: now_ms(),
        tags: tags::of_new(&call.members)?,
    };
    apply(&mut config, call);
    call.parts.store.code_signing().put(&config, None).await?;
    Ok(reply(&config))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    Ok(reply(&named(call).await?.0))
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    check_may_change(call, "UpdateCodeSigningConfig")?;
    let configs = call.parts.store.code_signing();
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut config, revision) = named(call).await?;
        apply(&mut config, call);
        config.modified_ms = now_ms();
        match configs.put(&config, Some(revision)).await {
            Ok(_revision) => return Ok(reply(&config)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::service("Others changed the code signing configuration at the same time; try again."))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    check_may_change(call, "DeleteCodeSigningConfig")?;
    let (config, _) = named(call).await?;
    let arn = config.arn();
    if !functions_with(call, &arn, None, 1).await?.0.is_empty() {
        return Err(ApiError::conflict(format!(
            "The code signing configuration {arn} cannot be deleted because functions use it."
        )));
    }
    if !call.parts.store.code_signing().delete(&config.account, &config.region, &config.id).await? {
        return Err(missing(&arn));
    }
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let size = page_size(call.number("MaxItems"));
    let after = Position::decode(call.text("Marker"))?.map(|position| position.name);
    // One more than a page shows that there is a next one.
    let mut configs = call.parts.store.code_signing().list(account, region, after.as_deref(), size + 1).await?;
    let has_more = configs.len() > size;
    configs.truncate(size);
    let next = configs.last().filter(|_| has_more).map(|config| config.id.clone());
    Ok(page("CodeSigningConfigs", configs.iter().map(shown).collect(), next))
}

pub(super) async fn list_functions(call: &Call) -> Result<Reply, ApiError> {
    let (config, _) = named(call).await?;
    let after = Position::decode(call.text("Marker"))?.map(|position| position.name);
    let size = page_size(call.number("MaxItems"));
    let (found, next) = functions_with(call, &config.arn(), after, size).await?;
    Ok(page("FunctionArns", found.into_iter().map(Value::from).collect(), next))
}

pub(super) async fn get_of_function(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::not_found(no_function(call)))?;
    // Nothing at all, where there is none.
    Ok(function.code_signing.map_or_else(|| Reply::Members(Map::new()), |arn| of_function(call, &arn)))
}

pub(super) async fn put_of_function(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    let arn = call.text("CodeSigningConfigArn").unwrap_or_default().to_owned();
    check_named(call, &arn).await?;
    change(call, &no_function(call), |function| {
        function.code_signing = Some(arn.clone());
        Ok(())
    })
    .await?;
    Ok(of_function(call, &arn))
}

pub(super) async fn delete_of_function(call: &Call) -> Result<Reply, ApiError> {
    lookup::check_unqualified(call.target())?;
    change(call, &no_function(call), |function| {
        function.code_signing = None;
        Ok(())
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

/// Changes what the call names, and nothing else.
fn apply(config: &mut CodeSigningConfig, call: &Call) {
    if let Some(description) = call.text("Description") {
        config.description = Some(description.to_owned());
    }
    let publishers = call.members.get("AllowedPublishers").and_then(|member| member.get("SigningProfileVersionArns"));
    if let Some(arns) = publishers.and_then(Value::as_array) {
        config.publishers = arns.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let policies = call.members.get("CodeSigningPolicies");
    match policies.and_then(|member| member.get("UntrustedArtifactOnDeployment")).and_then(Value::as_str) {
        Some("Enforce") => config.untrusted = UntrustedArtifact::Enforce,
        Some(_warn) => config.untrusted = UntrustedArtifact::Warn,
        None => {}
    }
}

/// ARNs of functions with a configuration, and the name after which there are more.
async fn functions_with(
    call: &Call,
    arn: &str,
    mut after: Option<String>,
    size: usize,
) -> Result<(Vec<String>, Option<String>), ApiError> {
    let (account, region) = (&call.principal.account, &call.parts.options.region);
    let mut found: Vec<(String, String)> = Vec::new();
    // One more than a page shows that there is a next one.
    while found.len() <= size {
        let functions = call.parts.store.functions();
        let functions = functions.list(account, region, after.as_deref(), FUNCTIONS_AT_A_TIME).await?;
        let Some(last) = functions.last() else { break };
        after = Some(last.latest.key.name.clone());
        let with = functions.iter().filter(|function| function.code_signing.as_deref() == Some(arn));
        found.extend(with.map(|function| (function.latest.key.name.clone(), function.latest.key.arn())));
    }
    let has_more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| has_more).map(|(name, _)| name.clone());
    Ok((found.into_iter().map(|(_, arn)| arn).collect(), next))
}

fn of_function(call: &Call, arn: &str) -> Reply {
    Reply::Members(Map::from_iter([
        ("CodeSigningConfigArn".to_owned(), arn.into()),
        ("FunctionName".to_owned(), json!(call.key().name)),
    ]))
}

fn reply(config: &CodeSigningConfig) -> Reply {
    Reply::Members(Map::from_iter([("CodeSigningConfig".to_owned(), shown(config))]))
}

fn page(name: &str, items: Vec<Value>, next: Option<String>) -> Reply {
    let mut members = Map::from_iter([(name.to_owned(), Value::Array(items))]);
    if let Some(name) = next {
        members.insert("NextMarker".to_owned(), Position { name, version: None }.encode().into());
    }
    Reply::Members(members)
}
