use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

use super::{bind_body, operation, owned};
use crate::service::{RequestParts, ServiceModel};

#[test]
fn a_body_of_the_wrong_type_is_refused_in_the_words_of_aws() {
    let check = |body: &str, expected: &str| {
        let message = bind_body("UpdateFunctionConfiguration", body).map(|input| input.members).unwrap_err().message;
        assert_eq!(message, expected, "{body}");
    };
    let list = "Start of list found where not expected";
    let structure = "Start of structure or map found where not expected.";
    check(r#"{"Handler": 1}"#, "NUMBER_VALUE can not be converted to a String");
    check(r#"{"Handler": true}"#, "TRUE_VALUE can not be converted to a String");
    check(r#"{"Handler": false}"#, "FALSE_VALUE can not be converted to a String");
    check(r#"{"Handler": ["a"]}"#, list);
    check(r#"{"Handler": {"a": 1}}"#, structure);
    check(r#"{"Timeout": "3"}"#, "STRING_VALUE can not be converted to an Integer");
    check(r#"{"Timeout": true}"#, "TRUE_VALUE can not be converted to an Integer");
    check(r#"{"Timeout": [3]}"#, list);
    check(r#"{"Timeout": 3000000000}"#, "Numeric value (3000000000) out of range of int (-2147483648 - 2147483647)");
    check(r#"{"Layers": "a"}"#, "Expected list or null");
    check(r#"{"Layers": {}}"#, structure);
    check(r#"{"Layers": [1]}"#, "NUMBER_VALUE can not be converted to a String");
    check(r#"{"VpcConfig": "a"}"#, "Expected null");
    check(r#"{"VpcConfig": []}"#, list);
    check(r#"{"VpcConfig": {"Ipv6AllowedForDualStack": "yes"}}"#, "STRING_VALUE can not be converted to a Boolean");
    check(r#"{"Environment": {"Variables": {"A": 1}}}"#, "NUMBER_VALUE can not be converted to a String");
    check(r#"{"Environment": {"Variables": "A"}}"#, "Expected map or null");
    check("[]", list);
    check("7", "Expected null");
    check("{", "Could not parse request body into json: EOF while parsing an object at line 1 column 1");
    check("hello", "Could not parse request body into json: expected value at line 1 column 1");
    check(r#"{"Handler": "a"} {}"#, "Could not parse request body into json: trailing characters at line 1 column 18");
}

#[test]
fn a_sound_body_becomes_members_without_nulls_and_strangers() {
    let check = |body: &str, expected: Value| {
        let mut members = bind_body("UpdateFunctionConfiguration", body).unwrap().members;
        assert_eq!(members.remove("FunctionName"), Some(json!("fn")), "{body}");
        assert_eq!(Value::Object(members), expected, "{body}");
    };
    check("", json!({}));
    check("null", json!({}));
    check("{}", json!({}));
    check(r#"{"Timeout": 3, "Unknown": 1, "Role": null}"#, json!({"Timeout": 3}));
    check(r#"{"Timeout": 3.9}"#, json!({"Timeout": 3}));
    check(r#"{"Timeout": -3.9}"#, json!({"Timeout": -3}));
    check(r#"{"Timeout": 2147483647}"#, json!({"Timeout": 2_147_483_647}));
    check(r#"{"Layers": ["a", null]}"#, json!({"Layers": ["a", null]}));
    check(
        r#"{"VpcConfig": {"SubnetIds": ["s"], "Stranger": [], "SecurityGroupIds": null}}"#,
        json!({"VpcConfig": {"SubnetIds": ["s"]}}),
    );
    check(r#"{"Environment": {"Variables": {"A": "1"}}}"#, json!({"Environment": {"Variables": {"A": "1"}}}));
    // The name in the path counts, not one in the body.
    check(r#"{"FunctionName": "other"}"#, json!({}));
}

#[test]
fn blobs_are_checked_and_stay_base64_text() {
    let check = |zip: &str, sound: bool| {
        let body = json!({"ZipFile": zip}).to_string();
        let bound = bind_body("UpdateFunctionCode", &body);
        assert_eq!(bound.as_ref().ok().and_then(|input| input.members.get("ZipFile")), sound.then_some(&json!(zip)));
        if let Err(error) = bound {
            assert!(error.message.starts_with("Could not decode base64 text: "), "{}", error.message);
        }
    };
    check("", true);
    check("UEsDBA==", true);
    check("UEsDBA", false);
    check("UEs*BA==", false);
    assert_eq!(
        bind_body("UpdateFunctionCode", r#"{"ZipFile": 1}"#).map(|input| input.payload).unwrap_err().message,
        "NUMBER_VALUE can not be converted to a ByteBuffer"
    );
}

#[test]
fn headers_and_payload_of_an_invocation_are_bound() {
    let bind = |body: &'static [u8]| {
        let labels = owned(&[("FunctionName", "fn")]);
        let query = owned(&[("Qualifier", "7"), ("Qualifier", "8"), ("Stranger", "x")]);
        let headers = owned(&[("host", "a"), ("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail")]);
        let parts = RequestParts { labels: &labels, query: &query, headers: &headers, body: Bytes::from_static(body) };
        ServiceModel::lambda().bind(operation("Invoke"), &parts).unwrap()
    };
    let input = bind(b"not json");
    let expected = json!({"FunctionName": "fn", "Qualifier": "7", "InvocationType": "Event", "LogType": "Tail"});
    assert_eq!(Value::Object(input.members), expected);
    assert_eq!(input.payload.as_deref(), Some(&b"not json"[..]));
    assert_eq!(bind(b"").payload, None);
}

#[test]
fn query_and_path_texts_become_their_types() {
    let check = |name: &str, labels: &[(&str, &str)], query: &[(&str, &str)], expected: Result<Value, &str>| {
        let (labels, query) = (owned(labels), owned(query));
        let parts = RequestParts { labels: &labels, query: &query, headers: &[], body: Bytes::new() };
        let bound = ServiceModel::lambda().bind(operation(name), &parts);
        let bound = bound.map(|input| Value::Object(input.members)).map_err(|error| error.message);
        assert_eq!(bound, expected.map_err(str::to_owned), "{name} {labels:?} {query:?}");
    };
    check("ListFunctions", &[], &[("MaxItems", "5")], Ok(json!({"MaxItems": 5})));
    check("ListFunctions", &[], &[("maxitems", "5")], Ok(json!({})));
    check("ListFunctions", &[], &[("MaxItems", "five")], Err("STRING_VALUE can not be converted to an Integer"));
    check("ListFunctions", &[], &[("MaxItems", "")], Err("STRING_VALUE can not be converted to an Integer"));
    check("ListFunctions", &[], &[("MaxItems", "99999999999")], Err("STRING_VALUE can not be converted to an Integer"));
    check(
        "UntagResource",
        &[("Resource", "arn")],
        &[("tagKeys", "a"), ("tagKeys", "b")],
        Ok(json!({"Resource": "arn", "TagKeys": ["a", "b"]})),
    );
    check("UntagResource", &[("Resource", "arn")], &[], Ok(json!({"Resource": "arn"})));
    check(
        "GetLayerVersion",
        &[("LayerName", "l"), ("VersionNumber", "12")],
        &[],
        Ok(json!({"LayerName": "l", "VersionNumber": 12})),
    );
    check("GetLayerVersion", &[("VersionNumber", "x")], &[], Err("STRING_VALUE can not be converted to a Long"));
    let executions = |query, expected| check("ListDurableExecutionsByFunction", &[], query, expected);
    executions(&[("ReverseOrder", "true")], Ok(json!({"ReverseOrder": true})));
    executions(&[("ReverseOrder", "1")], Err("STRING_VALUE can not be converted to a Boolean"));
    executions(&[("StartedAfter", "2026-11-20T08:00:00Z")], Ok(json!({"StartedAfter": 1_795_161_600})));
    executions(&[("StartedAfter", "1795161600")], Ok(json!({"StartedAfter": 1_795_161_600})));
    executions(&[("StartedAfter", "2026-11-20T08:00:00.250Z")], Ok(json!({"StartedAfter": 1_795_161_600.25})));
    executions(&[("StartedAfter", "today")], Err("STRING_VALUE can not be converted to a Timestamp"));
}

#[test]
fn a_structure_that_is_the_payload_is_the_whole_body() {
    let labels = owned(&[("DurableExecutionArn", "arn")]);
    let bind = |body: &'static str| {
        let parts =
            RequestParts { labels: &labels, query: &[], headers: &[], body: Bytes::from_static(body.as_bytes()) };
        let bound = ServiceModel::lambda().bind(operation("StopDurableExecution"), &parts);
        bound.map(|input| Value::Object(input.members)).map_err(|error| error.message)
    };
    let error = json!({"ErrorType": "T", "ErrorMessage": "m"});
    assert_eq!(
        bind(r#"{"ErrorType": "T", "ErrorMessage": "m"}"#),
        Ok(json!({"DurableExecutionArn": "arn", "Error": error}))
    );
    assert_eq!(bind(""), Ok(json!({"DurableExecutionArn": "arn"})));
    assert_eq!(bind("[]"), Err("Start of list found where not expected".to_owned()));
}

proptest! {
    #[test]
    fn binding_never_panics(
        position in any::<proptest::sample::Index>(),
        body in vec(any::<u8>(), 0..64),
        value in any::<String>(),
    ) {
        let operations: Vec<_> = ServiceModel::lambda().operations().collect();
        let operation = position.get(&operations);
        let pairs: Vec<(String, String)> =
            ["FunctionName", "MaxItems", "VersionNumber", "StartedAfter", "tagKeys"].map(|name| (name.to_owned(), value.clone())).into();
        let parts = RequestParts { labels: &pairs, query: &pairs, headers: &pairs, body: body.into() };
        if let Ok(input) = ServiceModel::lambda().bind(operation, &parts) {
            let _checked = ServiceModel::lambda().validate(operation, &input);
        }
    }

    #[test]
    fn binding_of_likely_bodies_never_panics(
        key in "(FunctionName|Timeout|Code|Environment|Layers|VpcConfig|Architectures|Handler)",
        value in "(null|true|1|-1|1e99|1.5|\"\"|\"é\"|\\[\\]|\\[null\\]|\\[1\\]|\\{\\}|\\{\"Variables\":\\{\"\":\"\"\\}\\}|\\{\"ZipFile\":\"A\"\\})",
    ) {
        if let Ok(input) = bind_body("CreateFunction", &format!("{{\"{key}\": {value}}}")) {
            let _checked = ServiceModel::lambda().validate(operation("CreateFunction"), &input);
        }
    }
}
