use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::operation;
use crate::service::{Output, ServiceModel};

fn shape(name: &str, members: Value) -> Output {
    let Value::Object(members) = members else { panic!("members of `{name}` are no object") };
    ServiceModel::lambda().shape(operation(name), members)
}

fn body(output: &Output) -> Value {
    serde_json::from_slice(&output.body).unwrap()
}

#[test]
fn a_plain_answer_is_a_json_body_with_the_status_of_the_model() {
    let created = shape("CreateFunction", json!({"FunctionName": "fn", "Timeout": 3, "StateReason": null}));
    assert_eq!(created.status, 201);
    assert!(created.headers.is_empty());
    assert_eq!(body(&created), json!({"FunctionName": "fn", "Timeout": 3}));
    let listed = shape("ListFunctions", json!({}));
    assert_eq!((listed.status, body(&listed)), (200, json!({})));
}

#[test]
fn an_answer_without_content_has_no_body() {
    for (name, members) in [
        ("DeleteAlias", json!({})),
        ("TagResource", json!({})),
        ("DeleteFunction", json!({})),
        ("DeleteFunction", json!({"StatusCode": 204})),
    ] {
        let output = shape(name, members);
        assert_eq!((output.status, output.body.len(), output.headers.len()), (204, 0, 0), "{name}");
    }
}

#[test]
fn an_invocation_is_split_into_status_headers_and_payload() {
    let members = json!({"StatusCode": 202, "FunctionError": "Unhandled", "ExecutedVersion": "7", "LogResult": null});
    let Value::Object(members) = members else { unreachable!() };
    let output = ServiceModel::lambda().shape_with_payload(operation("Invoke"), members, Bytes::from_static(b"[1]"));
    assert_eq!(output.status, 202);
    assert_eq!(output.headers, super::owned(&[("x-amz-function-error", "Unhandled"), ("x-amz-executed-version", "7")]));
    assert_eq!(&output.body[..], b"[1]");
    assert_eq!(&shape("Invoke", json!({"Payload": "WzFd"})).body[..], b"[1]");
    let empty = ServiceModel::lambda().shape_with_payload(operation("Invoke"), Map::new(), Bytes::new());
    assert_eq!((empty.status, empty.body.len()), (200, 0));
}

#[test]
fn nested_nulls_are_left_out_and_map_keys_are_kept() {
    let output = shape(
        "GetFunction",
        json!({
            "Configuration": {"Environment": {"Variables": {"A": ""}}, "Layers": [{"Arn": "a", "CodeSize": null}]},
            "Tags": {"anything": "goes"},
        }),
    );
    assert_eq!(
        body(&output),
        json!({
            "Configuration": {"Environment": {"Variables": {"A": ""}}, "Layers": [{"Arn": "a"}]},
            "Tags": {"anything": "goes"},
        })
    );
}

#[test]
#[should_panic(expected = "`FunctionConfiguration` does not know [\"Colour\"]")]
fn a_member_that_the_shape_does_not_know_is_a_bug() {
    shape("CreateFunction", json!({"Colour": "red"}));
}

#[test]
#[should_panic(expected = "`VpcConfigResponse` does not know [\"Colour\"]")]
fn a_nested_member_that_the_shape_does_not_know_is_a_bug() {
    shape("CreateFunction", json!({"VpcConfig": {"Colour": "red"}}));
}
