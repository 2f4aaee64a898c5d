//! The configuration of asynchronous invocations: `Put…`, `Update…`, `Get…`, `Delete…` and
//! `ListFunctionEventInvokeConfigs`.

use http::StatusCode;
use serde_json::{Map, Value, json};
use wuwei_model::{EventInvokeConfig, FunctionKey, FunctionReference};
use wuwei_store::Function;

use super::super::call::{Call, Reply};
use super::super::configuration::LATEST;
use super::super::error::ApiError;
use super::super::lookup::{self, Qualifier, read_qualifier};
use super::super::marker::{Position, page_of, page_size};
use super::{change, now_ms};

const NO_FUNCTION: &str = "The function doesn't exist.";

pub(super) async fn put(call: &Call) -> Result<Reply, ApiError> {
    let wanted = read(call).await?;
    store(call, |function, qualifier| {
        let config = EventInvokeConfig { modified_ms: now_ms(), ..wanted.onto(EventInvokeConfig::default()) };
        function.event_invoke.insert(qualifier.to_owned(), config.clone());
        Ok(config)
    })
    .await
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    let wanted = read(call).await?;
    store(call, |function, qualifier| {
        let config = function.event_invoke.get_mut(qualifier).ok_or_else(|| no_config(call))?;
        *config = EventInvokeConfig { modified_ms: now_ms(), ..wanted.onto(config.clone()) };
        Ok(config.clone())
    })
    .await
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let found = lookup::function(&call.parts, call.key()).await?;
    let config = found.as_ref().and_then(|(function, _)| function.event_invoke.get(qualifier_of(call)));
    let config = config.ok_or_else(|| no_config(call))?;
    Ok(Reply::Members(members(call.key(), qualifier_of(call), config)))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    change(call, NO_FUNCTION, |function| {
        function.event_invoke.remove(qualifier_of(call)).map(drop).ok_or_else(|| no_config(call))
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let after = Position::decode(call.text("Marker"))?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::not_found(NO_FUNCTION))?;
    let (page, next) = page_of(function.event_invoke.iter(), after.as_ref(), page_size(call.number("MaxItems")));
    let items = page.into_iter().map(|(qualifier, config)| members(call.key(), qualifier, config).into());
    let mut answer = Map::new();
    answer.insert("FunctionEventInvokeConfigs".to_owned(), items.collect::<Vec<Value>>().into());
    if let Some(next) = next {
        answer.insert("NextMarker".to_owned(), next.into());
    }
    Ok(Reply::Members(answer))
}

/// Changes the configuration of what a call names, if that is there.
async fn store(
    call: &Call,
    mut make: impl FnMut(&mut Function, &str) -> Result<EventInvokeConfig, ApiError>,
) -> Result<Reply, ApiError> {
    let qualifier = qualifier_of(call);
    if let Qualifier::Number(number) = read_qualifier(Some(qualifier)) {
        let found = call.parts.store.functions().version(call.key(), number).await?;
        found.ok_or_else(|| ApiError::not_found(NO_FUNCTION))?;
    }
    let config = change(call, NO_FUNCTION, |function| {
        let is_there = match read_qualifier(Some(qualifier)) {
            Qualifier::Latest | Qualifier::Number(_) => true,
            Qualifier::Name(name) => function.aliases.contains_key(name),
        };
        if is_there { make(function, qualifier) } else { Err(ApiError::not_found(NO_FUNCTION)) }
    })
    .await?;
    Ok(Reply::Members(members(call.key(), qualifier, &config)))
}

/// What a call sets; what it leaves out is `None`.
struct Wanted {
    maximum_retry_attempts: Option<u8>,
    maximum_event_age_s: Option<u32>,
    destinations: Option<Destinations>,
}

/// An empty text is no destination.
#[derive(Clone)]
struct Destinations {
    on_success: Option<String>,
    on_failure: Option<String>,
}

impl Wanted {
    fn onto(&self, before: EventInvokeConfig) -> EventInvokeConfig {
        let (on_success, on_failure) = match self.destinations.clone() {
            Some(Destinations { on_success, on_failure }) => (on_success, on_failure),
            None => (before.on_success, before.on_failure),
        };
        EventInvokeConfig {
            maximum_retry_attempts: self.maximum_retry_attempts.or(before.maximum_retry_attempts),
            maximum_event_age_s: self.maximum_event_age_s.or(before.maximum_event_age_s),
            on_success,
            on_failure,
            modified_ms: before.modified_ms,
        }
    }
}

async fn read(call: &Call) -> Result<Wanted, ApiError> {
    let destination = |side: &str| {
        let side = call.members.get("DestinationConfig").and_then(|config| config.get(side));
        let arn = side.and_then(|side| side.get("Destination")).and_then(Value::as_str);
        arn.filter(|arn| !arn.is_empty()).map(str::to_owned)
    };
    let destinations = call
        .members
        .get("DestinationConfig")
        .map(|_| Destinations { on_success: destination("OnSuccess"), on_failure: destination("OnFailure") });
    let wanted = Wanted {
        maximum_retry_attempts: call.number("MaximumRetryAttempts").and_then(|number| u8::try_from(number).ok()),
        maximum_event_age_s: call.number("MaximumEventAgeInSeconds").and_then(|number| u32::try_from(number).ok()),
        destinations,
    };
    if wanted.maximum_retry_attempts.is_none() && wanted.maximum_event_age_s.is_none() && wanted.destinations.is_none()
    {
        return Err(ApiError::invalid_parameter(
            "You must specify at least one of error handling or destination setting.",
        ));
    }
    if let Some(destinations) = &wanted.destinations {
        check_destinations(call, destinations).await?;
    }
    Ok(wanted)
}

async fn check_destinations(call: &Call, destinations: &Destinations) -> Result<(), ApiError> {
    let Destinations { on_success, on_failure } = destinations;
    let is_known = |arn: &Option<String>, with_s3: bool| match arn.as_deref().map(|arn| arn.split(':').nth(2)) {
        None | Some(Some("sqs" | "sns" | "lambda" | "events")) => true,
        Some(Some("s3")) => with_s3,
        Some(Some(_) | None) => false,
    };
    if !is_known(on_success, false) || !is_known(on_failure, true) {
        let shown = |name: &str, arn: &Option<String>| {
            arn.as_ref().map_or_else(|| "null".to_owned(), |arn| format!("{name}(destination={arn})"))
        };
        return Err(ApiError::invalid_parameter(format!(
            "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.",
            shown("OnSuccess", on_success),
            shown("OnFailure", on_failure)
        )));
    }
    for arn in [on_failure, on_success].into_iter().flatten() {
        if arn.split(':').nth(2) == Some("lambda") {
            check_function(call, arn).await?;
        }
    }
    Ok(())
}

async fn check_function(call: &Call, arn: &str) -> Result<(), ApiError> {
    let invalid = || ApiError::invalid_parameter(format!("The destination ARN {arn} is invalid."));
    let written = arn.parse::<FunctionReference>().ok().ok_or_else(invalid)?;
    let (Some(account), Some(region)) = (written.account, written.region) else { return Err(invalid()) };
    let key = FunctionKey { account, region, name: written.name };
    if key == *call.key() {
        return Err(ApiError::invalid_parameter("You can't specify the function as a destination for itself."));
    }
    // Another account's functions are not looked at: what this caller may know of them is theirs to say.
    let is_own = key.account == call.key().account;
    if is_own && call.parts.store.functions().get(&key).await?.is_none() {
        return Err(invalid());
    }
    Ok(())
}

fn qualifier_of(call: &Call) -> &str {
    call.target().qualifier.as_deref().unwrap_or(LATEST)
}

fn no_config(call: &Call) -> ApiError {
    let arn = call.key().qualified_arn(qualifier_of(call));
    ApiError::not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
}

fn members(key: &FunctionKey, qualifier: &str, config: &EventInvokeConfig) -> Map<String, Value> {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("LastModified", json!(config.modified_ms as f64 / 1_000.0));
    set("FunctionArn", json!(key.qualified_arn(qualifier)));
    if let Some(attempts) = config.maximum_retry_attempts {
        set("MaximumRetryAttempts", json!(attempts));
    }
    if let Some(age_s) = config.maximum_event_age_s {
        set("MaximumEventAgeInSeconds", json!(age_s));
    }
    let side = |arn: &Option<String>| arn.as_ref().map_or_else(|| json!({}), |arn| json!({ "Destination": arn }));
    set("DestinationConfig", json!({ "OnSuccess": side(&config.on_success), "OnFailure": side(&config.on_failure) }));
    members
}
