use serde_json::{Map, Value, json};

use super::{Doing, of_new, same_source, shown, update};
use wuwei_model::{EventSourceKind, EventSourceMapping};

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:queue";
const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn refusal(value: &Value) -> String {
    of_new(&members(value)).unwrap_err().message().to_owned()
}

#[test]
fn what_is_not_said_is_as_aws_has_it_for_the_kind_of_the_source() {
    let (kind, settings) = of_new(&members(&json!({ "EventSourceArn": QUEUE }))).unwrap();
    assert_eq!(kind, EventSourceKind::Queue);
    let expected = json!({
        "EventSourceArn": QUEUE, "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [],
    });
    assert_eq!(Value::Object(settings), expected);
    let (_, settings) = of_new(&members(&json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST" }))).unwrap();
    assert_eq!(settings["BatchSize"], 100);
    assert_eq!((&settings["MaximumRetryAttempts"], &settings["ParallelizationFactor"]), (&json!(-1), &json!(1)));
}

#[test]
fn members_that_do_not_go_with_the_kind_of_the_source_are_refused() {
    let check = |value: Value, expected: &str| assert_eq!(refusal(&value), expected, "{value}");
    check(
        json!({ "EventSourceArn": QUEUE, "StartingPosition": "LATEST" }),
        "StartingPosition is not valid for SQS event sources.",
    );
    check(json!({ "EventSourceArn": QUEUE, "Topics": ["t"] }), "Topics is not valid for SQS event sources.");
    check(
        json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST", "ScalingConfig": { "MaximumConcurrency": 2 } }),
        "ScalingConfig is not valid for Kinesis event sources.",
    );
    assert!(refusal(&json!({ "EventSourceArn": STREAM })).contains("'startingPosition'"));
    assert_eq!(
        refusal(&json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST", "StartingPositionTimestamp": 1 })),
        "Timestamp only valid with StartingPosition AT_TIMESTAMP"
    );
    assert!(refusal(&json!({ "EventSourceArn": "arn:aws:s3:::b" })).starts_with("Unrecognized event source"));
    assert!(refusal(&json!({})).contains("is required"));
    assert!(
        refusal(&json!({ "SelfManagedEventSource": {}, "StartingPosition": "LATEST" }))
            .starts_with("Topics is required")
    );
}

#[test]
fn batches_of_queues_have_rules_of_their_own() {
    assert!(refusal(&json!({ "EventSourceArn": QUEUE, "BatchSize": 11 })).contains("greater than 10"));
    of_new(&members(&json!({ "EventSourceArn": QUEUE, "BatchSize": 11, "MaximumBatchingWindowInSeconds": 1 })))
        .unwrap();
    let ordered = format!("{QUEUE}.fifo");
    assert!(refusal(&json!({ "EventSourceArn": ordered, "BatchSize": 11 })).contains("FIFO"));
    assert!(refusal(&json!({ "EventSourceArn": ordered, "MaximumBatchingWindowInSeconds": 1 })).contains("FIFO"));
}

#[test]
fn an_update_changes_what_it_names_and_what_is_set_to_nothing_goes() {
    let filters = json!({ "Filters": [{ "Pattern": "{\"a\":[1]}" }] });
    let (_, mut settings) =
        of_new(&members(&json!({ "EventSourceArn": QUEUE, "FilterCriteria": filters, "BatchSize": 5 }))).unwrap();
    assert_eq!(settings["FilterCriteria"], filters);
    let before = settings.clone();
    update(&mut settings, &members(&json!({ "UUID": "x" }))).unwrap();
    assert_eq!(settings, before);
    update(&mut settings, &members(&json!({ "FilterCriteria": { "Filters": [] }, "BatchSize": 6 }))).unwrap();
    assert_eq!((settings.get("FilterCriteria"), &settings["BatchSize"]), (None, &json!(6)));
    let wrong = json!({ "FilterCriteria": { "Filters": [{ "Pattern": "x" }] } });
    assert_eq!(update(&mut settings, &members(&wrong)).unwrap_err().message(), "Invalid filter pattern definition.");
}

#[test]
fn a_mapping_is_shown_with_its_state() {
    let (_, settings) = of_new(&members(&json!({ "EventSourceArn": QUEUE }))).unwrap();
    let mapping = EventSourceMapping {
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        id: "0f".to_owned(),
        function: "f".to_owned(),
        qualifier: Some("live".to_owned()),
        settings,
        modified_ms: 1_500,
        tags: [].into(),
    };
    let resting = shown(&mapping, Doing::Resting);
    assert_eq!((&resting["State"], &resting["LastModified"]), (&json!("Disabled"), &json!(1.5)));
    assert_eq!(resting["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:live");
    assert_eq!(shown(&mapping, Doing::Creating)["State"], "Creating");
    assert!(same_source(&mapping.settings, &mapping.settings));
}
