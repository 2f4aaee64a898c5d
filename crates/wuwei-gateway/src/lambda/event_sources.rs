//! Event source mappings: what a deployer may say of a source, and how a mapping is shown.

mod filter;

use serde_json::{Map, Value, json};
use wuwei_model::{EventSourceKind, EventSourceMapping};

use super::error::ApiError;

/// Members that a mapping keeps, as the API spells them.
const SETTINGS: &[&str] = &[
    "AmazonManagedKafkaEventSourceConfig",
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "DocumentDBEventSourceConfig",
    "EventSourceArn",
    "FilterCriteria",
    "FunctionResponseTypes",
    "KMSKeyArn",
    "LoggingConfig",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ParallelizationFactor",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "StartingPosition",
    "StartingPositionTimestamp",
    "Topics",
    "TumblingWindowInSeconds",
];
/// Those that go when they are set to nothing.
const REMOVABLE: &[&str] = &[
    "AmazonManagedKafkaEventSourceConfig",
    "FilterCriteria",
    "KMSKeyArn",
    "LoggingConfig",
    "MetricsConfig",
    "ProvisionedPollerConfig",
    "ScalingConfig",
    "SelfManagedKafkaEventSourceConfig",
];
/// Largest batch of a queue without a batching window, and of an ordered queue at all.
const PLAIN_BATCH_MAX: u64 = 10;
/// Filters of a mapping.
const FILTERS_MAX: usize = 10;

/// What a mapping is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It is being made.
    Creating,
    /// It is being changed.
    Updating,
    /// It is there. Nothing reads event sources yet.
    Resting,
    /// It is being removed.
    Deleting,
}

/// The settings of a new mapping; the members have passed the model.
pub(super) fn of_new(members: &Map<String, Value>) -> Result<(EventSourceKind, Map<String, Value>), ApiError> {
    let kind = kind_of(members)?;
    let mut settings = defaults(kind);
    let named = members.iter().filter(|(name, _)| SETTINGS.contains(&name.as_str()));
    settings.extend(named.map(|(name, value)| (name.clone(), value.clone())));
    finish(kind, &mut settings)?;
    Ok((kind, settings))
}

/// Changes the settings that the members name, and nothing else.
pub(super) fn update(settings: &mut Map<String, Value>, members: &Map<String, Value>) -> Result<(), ApiError> {
    let kind = kind_of(settings)?;
    let named = members.iter().filter(|(name, _)| SETTINGS.contains(&name.as_str()));
    settings.extend(named.map(|(name, value)| (name.clone(), value.clone())));
    finish(kind, settings)
}

/// A mapping as AWS shows it.
pub(super) fn shown(mapping: &EventSourceMapping, doing: Doing) -> Map<String, Value> {
    let mut members = mapping.settings.clone();
    let kind = kind_of(&members).ok();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("UUID", json!(mapping.id));
    set("FunctionArn", json!(mapping.function_arn()));
    set("EventSourceMappingArn", json!(mapping.arn()));
    set("LastModified", json!(mapping.modified_ms as f64 / 1_000.0));
    let state = match doing {
        Doing::Creating => "Creating",
        Doing::Updating => "Updating",
        Doing::Resting => "Disabled",
        Doing::Deleting => "Deleting",
    };
    set("State", json!(state));
    if kind.is_some_and(EventSourceKind::is_queue) {
        set("StateTransitionReason", json!("USER_INITIATED"));
    } else {
        set("StateTransitionReason", json!("User action"));
        set("LastProcessingResult", json!("No records processed"));
    }
    members
}

/// Whether two mappings read the same source.
pub(super) fn same_source(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    ["EventSourceArn", "SelfManagedEventSource", "Topics", "Queues"]
        .iter()
        .all(|member| one.get(*member) == other.get(*member))
}

fn kind_of(members: &Map<String, Value>) -> Result<EventSourceKind, ApiError> {
    match (members.get("EventSourceArn").and_then(Value::as_str), members.get("SelfManagedEventSource")) {
        (Some(_), Some(_)) => {
            Err(ApiError::invalid_parameter("EventSourceArn and SelfManagedEventSource cannot be given together."))
        }
        (Some(arn), None) => EventSourceKind::of_arn(arn).ok_or_else(|| {
            ApiError::invalid_parameter(
                "Unrecognized event source: EventSourceArn must be of SQS, Kinesis, a DynamoDB stream, MSK, MQ or \
                 DocumentDB.",
            )
        }),
        (None, Some(_)) => Ok(EventSourceKind::SelfManagedKafka),
        (None, None) => Err(ApiError::invalid_parameter("EventSourceArn or SelfManagedEventSource is required.")),
    }
}

/// What is so where a deployer says nothing.
fn defaults(kind: EventSourceKind) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut set = |name: &str, value: Value| settings.insert(name.to_owned(), value);
    set("BatchSize", json!(if kind.is_queue() { PLAIN_BATCH_MAX } else { 100 }));
    if kind.is_queue() || kind.has_shards() {
        set("MaximumBatchingWindowInSeconds", json!(0));
        set("FunctionResponseTypes", json!([]));
    }
    if kind.has_shards() {
        set("ParallelizationFactor", json!(1));
        set("BisectBatchOnFunctionError", json!(false));
        set("MaximumRecordAgeInSeconds", json!(-1));
        set("MaximumRetryAttempts", json!(-1));
        set("TumblingWindowInSeconds", json!(0));
        set("DestinationConfig", json!({ "OnFailure": {} }));
    }
    settings
}

/// Refuses what does not go with the kind of the source, and leaves out what says nothing.
fn finish(kind: EventSourceKind, settings: &mut Map<String, Value>) -> Result<(), ApiError> {
    for name in settings.keys() {
        if !goes_with(kind, name) {
            let text = format!("{name} is not valid for {} event sources.", kind.as_str());
            return Err(ApiError::invalid_parameter(text));
        }
    }
    check_position(kind, settings)?;
    check_batch(kind, settings)?;
    for (member, is_needed) in [
        ("Topics", kind.is_kafka()),
        ("Queues", kind == EventSourceKind::Broker),
        ("DocumentDBEventSourceConfig", kind == EventSourceKind::DocumentDb),
    ] {
        if is_needed && !settings.contains_key(member) {
            let text = format!("{member} is required for {} event sources.", kind.as_str());
            return Err(ApiError::invalid_parameter(text));
        }
    }
    check_filters(settings.get("FilterCriteria"))?;
    settings.retain(|name, value| !(REMOVABLE.contains(&name.as_str()) && says_nothing(value)));
    Ok(())
}

fn goes_with(kind: EventSourceKind, member: &str) -> bool {
    match member {
        "StartingPosition" | "StartingPositionTimestamp" => !kind.is_queue() && kind != EventSourceKind::Broker,
        "ParallelizationFactor" | "TumblingWindowInSeconds" => kind.has_shards(),
        "BisectBatchOnFunctionError" | "DestinationConfig" | "MaximumRecordAgeInSeconds" | "MaximumRetryAttempts" => {
            kind.has_shards() || kind.is_kafka()
        }
        "FunctionResponseTypes" => kind.has_shards() || kind.is_kafka() || kind.is_queue(),
        "ScalingConfig" => kind.is_queue(),
        "Topics" => kind.is_kafka(),
        "Queues" => kind == EventSourceKind::Broker,
        "SourceAccessConfigurations" => {
            kind.is_kafka() || matches!(kind, EventSourceKind::Broker | EventSourceKind::DocumentDb)
        }
        "SelfManagedEventSource" | "SelfManagedKafkaEventSourceConfig" => kind == EventSourceKind::SelfManagedKafka,
        "AmazonManagedKafkaEventSourceConfig" => kind == EventSourceKind::ManagedKafka,
        "DocumentDBEventSourceConfig" => kind == EventSourceKind::DocumentDb,
        _of_every_kind => true,
    }
}

fn check_position(kind: EventSourceKind, settings: &Map<String, Value>) -> Result<(), ApiError> {
    let has_moment = settings.contains_key("StartingPositionTimestamp");
    let refuse = |text: &str| Err(ApiError::invalid_parameter(text));
    match settings.get("StartingPosition").and_then(Value::as_str) {
        None if kind.is_queue() || kind == EventSourceKind::Broker => Ok(()),
        None => refuse(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must \
             not be null.",
        ),
        Some("AT_TIMESTAMP") if kind == EventSourceKind::DynamoDb => {
            let arn = settings.get("EventSourceArn").and_then(Value::as_str).unwrap_or_default();
            refuse(&format!("Unsupported starting position for arn type: {arn}"))
        }
        Some("AT_TIMESTAMP") if !has_moment => {
            refuse("StartingPositionTimestamp is required with StartingPosition AT_TIMESTAMP")
        }
        Some("AT_TIMESTAMP") => Ok(()),
        Some(_) if has_moment => refuse("Timestamp only valid with StartingPosition AT_TIMESTAMP"),
        Some(_) => Ok(()),
    }
}

fn check_batch(kind: EventSourceKind, settings: &Map<String, Value>) -> Result<(), ApiError> {
    let number = |name: &str| settings.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (size, window) = (number("BatchSize"), number("MaximumBatchingWindowInSeconds"));
    if kind == EventSourceKind::OrderedQueue {
        if window > 0 {
            return Err(ApiError::invalid_parameter("Batching window is not supported for FIFO queues."));
        }
        if size > PLAIN_BATCH_MAX {
            return Err(ApiError::invalid_parameter(format!(
                "BatchSize must be less than or equal to {PLAIN_BATCH_MAX} for FIFO queues."
            )));
        }
    } else if kind == EventSourceKind::Queue && size > PLAIN_BATCH_MAX && window == 0 {
        return Err(ApiError::invalid_parameter(format!(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than \
             {PLAIN_BATCH_MAX}"
        )));
    }
    Ok(())
}

fn check_filters(criteria: Option<&Value>) -> Result<(), ApiError> {
    let filters = criteria.and_then(|criteria| criteria.get("Filters")).and_then(Value::as_array);
    let Some(filters) = filters else { return Ok(()) };
    if filters.len() > FILTERS_MAX {
        return Err(ApiError::invalid_parameter(format!("FilterCriteria can have at most {FILTERS_MAX} filters.")));
    }
    let patterns = filters.iter().map(|filter| filter.get("Pattern").and_then(Value::as_str));
    if patterns.into_iter().all(|pattern| pattern.is_some_and(filter::is_valid)) {
        Ok(())
    } else {
        Err(ApiError::invalid_parameter("Invalid filter pattern definition."))
    }
}

/// Empty, or made of what is.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
    }
}

#[cfg(test)]
mod tests;
