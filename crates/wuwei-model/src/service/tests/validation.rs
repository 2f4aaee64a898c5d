use serde_json::{Value, json};

use super::{bind_body, operation};
use crate::service::{Input, ServiceModel};

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

/// Message and error type for members that are given as they are.
fn violations(name: &str, members: Value) -> Option<(String, String)> {
    let Value::Object(members) = members else { panic!("members of `{name}` are no object") };
    let input = Input { members, payload: None };
    let refusal = ServiceModel::lambda().validate(operation(name), &input).err()?;
    Some((refusal.message, refusal.error))
}

/// A sound CreateFunction with some members set otherwise; null leaves one out.
fn create(changes: &Value) -> Option<(String, String)> {
    let mut members = json!({
        "FunctionName": "fn", "Role": ROLE, "Code": {"ZipFile": "UEsDBA=="}, "Runtime": "python3.12",
        "Handler": "app.handler",
    });
    for (name, value) in changes.as_object().unwrap() {
        members[name] = value.clone();
    }
    violations("CreateFunction", members)
}

#[track_caller]
fn check_create(changes: &Value, expected: &str) {
    let found = create(changes);
    let expected = format!("1 validation error detected: {expected}");
    assert_eq!(found, Some((expected, "ValidationException".to_owned())), "{changes}");
}

#[test]
fn sound_requests_pass() {
    for changes in [
        json!({}),
        json!({"MemorySize": 128, "Timeout": 1, "EphemeralStorage": {"Size": 512}}),
        json!({"MemorySize": 10_240, "Timeout": 900, "EphemeralStorage": {"Size": 10_240}}),
        json!({"FunctionName": "a".repeat(64), "Description": "é".repeat(256)}),
        json!({"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:fn"}),
        json!({"Architectures": ["arm64"], "Layers": [], "Tags": {"a": ""}, "KMSKeyArn": ""}),
        json!({"Environment": {"Variables": {"AB": "", "A_1": "x y"}}}),
    ] {
        assert_eq!(create(&changes), None, "{changes}");
    }
}

#[test]
fn every_kind_of_constraint_is_worded_as_aws_words_it() {
    let more = |path: &str, value: &str, rest: &str| {
        format!("Value '{value}' at '{path}' failed to satisfy constraint: Member must have {rest}")
    };
    check_create(&json!({"MemorySize": 127}), &more("memorySize", "127", "value greater than or equal to 128"));
    check_create(&json!({"MemorySize": 10_241}), &more("memorySize", "10241", "value less than or equal to 10240"));
    check_create(&json!({"Timeout": 0}), &more("timeout", "0", "value greater than or equal to 1"));
    check_create(&json!({"Timeout": 901}), &more("timeout", "901", "value less than or equal to 900"));
    check_create(
        &json!({"EphemeralStorage": {"Size": 511}}),
        &more("ephemeralStorage.size", "511", "value greater than or equal to 512"),
    );
    let long = "d".repeat(257);
    check_create(&json!({"Description": long}), &more("description", &long, "length less than or equal to 256"));
    check_create(
        &json!({"Code": {"S3Bucket": "ab"}}),
        &more("code.s3Bucket", "ab", "length greater than or equal to 3"),
    );
    check_create(&json!({"Architectures": []}), &more("architectures", "[]", "length greater than or equal to 1"));
    check_create(
        &json!({"Role": "lambdarole"}),
        r"Value 'lambdarole' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    );
    check_create(
        &json!({"KMSKeyArn": "key"}),
        "Value 'key' at 'kMSKeyArn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
    );
    check_create(
        &json!({"PackageType": "Tar"}),
        "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: [Zip, Image]",
    );
    check_create(&json!({"Role": null}), "Value null at 'role' failed to satisfy constraint: Member must not be null");
    check_create(
        &json!({"EphemeralStorage": {}}),
        "Value null at 'ephemeralStorage.size' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn lists_and_maps_are_judged_whole_and_structures_one_by_one() {
    let all = "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]";
    check_create(
        &json!({"Architectures": ["foo"]}),
        &format!("Value '[foo]' at 'architectures' failed to satisfy constraint: {all}"),
    );
    check_create(
        &json!({"Architectures": [null]}),
        &format!("Value '[null]' at 'architectures' failed to satisfy constraint: {all}"),
    );
    check_create(
        &json!({"Architectures": ["x86_64", "arm64"]}),
        "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
    );
    check_create(
        &json!({"Layers": ["None"]}),
        r"Value '[None]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 140, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+, Member must not be null]",
    );
    check_create(
        &json!({"FileSystemConfigs": [{"Arn": null, "LocalMountPath": "/mnt/a"}]}),
        "Value null at 'fileSystemConfigs.1.member.arn' failed to satisfy constraint: Member must not be null",
    );
    let weights = json!({"FunctionName": "fn", "Name": "live", "FunctionVersion": "1",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 1.5}}});
    let expected = "1 validation error detected: Value '{2=1.5}' at 'routingConfig.additionalVersionWeights' failed to \
        satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, \
        Member must have value greater than or equal to 0.0, Member must not be null]";
    assert_eq!(violations("CreateAlias", weights), Some((expected.to_owned(), "ValidationException".to_owned())));
}

#[test]
fn a_secret_is_never_repeated() {
    check_create(
        &json!({"Environment": {"Variables": {"a-b": "hunter2"}}}),
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
    );
    let (message, _) = create(&json!({"Environment": {"Variables": {"AB": null}}})).unwrap();
    assert_eq!(
        message,
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map value must satisfy constraint: [Member must not be null]"
    );
}

#[test]
fn several_violations_are_counted_and_stand_in_the_order_of_the_model() {
    let name = "a b".repeat(60);
    let (message, error) =
        create(&json!({"Timeout": 0, "Handler": "a b", "FunctionName": format!("x:{name}")})).unwrap();
    assert_eq!(error, "ValidationException");
    assert!(message.starts_with("4 validation errors detected: Value 'x:a b"), "{message}");
    let constraints: Vec<&str> = message.split("; ").filter_map(|line| line.split(" at ").nth(1)).collect();
    assert_eq!(constraints.len(), 4);
    assert_eq!(
        constraints[0],
        "'functionName' failed to satisfy constraint: Member must have length less than or equal to 140"
    );
    assert!(constraints[1].starts_with("'functionName' failed to satisfy constraint: Member must satisfy regular"));
    assert!(constraints[2].starts_with("'handler' failed"), "{message}");
    assert!(constraints[3].starts_with("'timeout' failed"), "{message}");
}

#[test]
fn checks_that_the_service_makes_itself_have_its_own_error() {
    let check = |changes: &Value, expected: &str| {
        let (message, error) = create(changes).unwrap();
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(error, "InvalidParameterValueException", "{changes}");
    };
    let name = "a".repeat(65);
    check(
        &json!({"FunctionName": name}),
        &format!(
            "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
        ),
    );
    check(
        &json!({"FunctionName": "a b"}),
        "1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: ",
    );
    check(
        &json!({"Runtime": "python9"}),
        "Value python9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs, ",
    );
    // The framework's violations come first.
    let (message, error) = create(&json!({"Runtime": "python9", "Timeout": 0})).unwrap();
    assert!(message.starts_with("1 validation error detected: Value '0' at 'timeout'"), "{message}");
    assert_eq!(error, "ValidationException");
}

#[test]
fn lengths_are_counted_as_java_counts_them() {
    // A character beyond the basic plane is two units.
    assert_eq!(create(&json!({"Description": "𝄞".repeat(128)})), None);
    assert!(create(&json!({"Description": "𝄞".repeat(129)})).is_some());
    let labels = json!({"TagKeys": ["a"], "Resource": format!("arn:aws:lambda:us-east-1:123456789012:function:{}", "a".repeat(250))});
    assert!(violations("UntagResource", labels).unwrap().0.contains("length less than or equal to 256"));
}

#[test]
fn a_payload_that_must_be_there_is_missed() {
    let input = Input { members: json!({"FunctionName": "fn"}).as_object().unwrap().clone(), payload: None };
    let refusal = ServiceModel::lambda().validate(operation("InvokeAsync"), &input).unwrap_err();
    assert_eq!(
        refusal.message,
        "1 validation error detected: Value null at 'invokeArgs' failed to satisfy constraint: Member must not be null"
    );
    let given = Input { payload: Some("{}".into()), ..input };
    ServiceModel::lambda().validate(operation("InvokeAsync"), &given).unwrap();
    let invoke = Input { members: given.members, payload: None };
    ServiceModel::lambda().validate(operation("Invoke"), &invoke).unwrap();
}

#[test]
fn a_body_of_many_faults_gives_a_short_answer() {
    let entries = vec!["{}"; 10_000].join(",");
    let input = bind_body("UpdateFunctionConfiguration", &format!(r#"{{"FileSystemConfigs": [{entries}]}}"#)).unwrap();
    let refusal = ServiceModel::lambda().validate(operation("UpdateFunctionConfiguration"), &input).unwrap_err();
    assert!(refusal.message.starts_with("100 validation errors detected: "), "{}", refusal.message.len());
}
