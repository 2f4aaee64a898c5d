mod binding;
mod routing;
mod shaping;
mod validation;

use bytes::Bytes;
use serde_json::Value;

use super::{Input, Operation, RequestParts, SerializationError, ServiceModel};
use crate::limits;
use crate::service::Access;

/// An operation that the table must have.
fn operation(name: &str) -> &'static Operation {
    ServiceModel::lambda().operation(name).unwrap_or_else(|| panic!("no operation `{name}`"))
}

/// Binds a request with a function name in its path and this body.
fn bind_body(name: &str, body: &str) -> Result<Input, SerializationError> {
    let labels = [("FunctionName".to_owned(), "fn".to_owned())];
    let parts = RequestParts { labels: &labels, query: &[], headers: &[], body: Bytes::from(body.to_owned()) };
    ServiceModel::lambda().bind(operation(name), &parts)
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_checked_in_table_has_every_operation_and_shape() {
    let model = ServiceModel::lambda();
    assert_eq!(model.operations().count(), 85);
    assert_eq!(model.shapes.len(), 556);
    for operation in model.operations() {
        for error in operation.errors() {
            assert!(model.error_status(error).is_some(), "{error} of {}", operation.name());
        }
    }
}

#[test]
fn errors_have_the_status_of_the_model_or_of_the_protocol() {
    let check = |error, status| assert_eq!(ServiceModel::lambda().error_status(error), status, "{error}");
    check("ResourceNotFoundException", Some(404));
    check("ResourceConflictException", Some(409));
    check("PreconditionFailedException", Some(412));
    check("TooManyRequestsException", Some(429));
    check("ServiceException", Some(500));
    check("ValidationException", Some(400));
    check("UnrecognizedClientException", Some(403));
    check("FunctionConfiguration", None);
    check("NoSuchException", None);
}

#[test]
fn operations_need_the_access_that_their_effect_asks_for() {
    let check = |name, access| assert_eq!(operation(name).access(), access, "{name}");
    check("GetFunction", Access::Read);
    check("ListFunctions", Access::Read);
    check("Invoke", Access::Invoke);
    check("InvokeAsync", Access::Invoke);
    check("InvokeWithResponseStream", Access::Invoke);
    check("CheckpointDurableExecution", Access::Invoke);
    check("CreateFunction", Access::Write);
    check("UpdateFunctionCode", Access::Write);
    check("DeleteFunction", Access::Write);
    check("TagResource", Access::Write);
}

#[test]
fn deletion_of_a_function_answers_as_the_service_does() {
    assert_eq!(operation("DeleteFunction").status(), 204);
    assert_eq!(operation("CreateFunction").status(), 201);
}

#[test]
fn the_limits_of_the_overlay_are_the_limits_of_the_product() {
    let bounds = |name: &str| {
        let shape = ServiceModel::lambda().shape_named(name).unwrap();
        let number = |bound: &Option<serde_json::Number>| bound.as_ref().and_then(serde_json::Number::as_u64);
        (number(&shape.constraints.min), number(&shape.constraints.max))
    };
    let both = |min: u32, max: u32| (Some(u64::from(min)), Some(u64::from(max)));
    assert_eq!(bounds("MemorySize"), both(limits::MEMORY_MB_MIN, limits::MEMORY_MB_MAX));
    assert_eq!(bounds("Timeout"), both(limits::TIMEOUT_S_MIN, limits::TIMEOUT_S_MAX));
    assert_eq!(bounds("EphemeralStorageSize"), both(limits::EPHEMERAL_MB_MIN, limits::EPHEMERAL_MB_MAX));
}

#[test]
fn every_entry_of_the_overlay_names_its_source() {
    let overlay: Value = serde_json::from_str(include_str!("../../data/lambda-overlay.json")).unwrap();
    for section in ["shapes", "members", "formats", "statuses"] {
        for (name, entry) in overlay[section].as_object().unwrap() {
            assert!(entry["source"].as_str().is_some_and(|source| !source.is_empty()), "{section}.{name}");
        }
    }
    assert!(overlay["access"]["source"].is_string());
    assert!(overlay["protocol_errors_source"].is_string());
}

#[test]
fn a_table_or_overlay_that_does_not_hold_together_is_refused() {
    let overlay = r#"{"shapes": {}, "members": {}, "statuses": {}, "access": {"prefixes": {}, "exceptions": {}},
        "protocol_errors": {}}"#;
    let check = |table: &str, overlay: &str, expected: &str| {
        let error = ServiceModel::parse(table, overlay).map(|_model| ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("{", overlay, "service model is not JSON of the expected form");
    check(
        r#"{"operations": {}, "shapes": {"A": {"type": "list", "member": "B"}}}"#,
        overlay,
        "service model names the shape `B`, which it does not have",
    );
    check(
        r#"{"operations": {}, "shapes": {"A": {"type": "list"}}}"#,
        overlay,
        "shape `A` of the service model lacks `member`",
    );
    let empty = r#"{"operations": {}, "shapes": {}}"#;
    let stray = "overlay names `A`, which the service model does not have";
    check(empty, &overlay.replacen("{}", r#"{"A": {"max": 1}}"#, 1), stray);
    check(empty, &overlay.replace(r#""members": {}"#, r#""members": {"A": {"error": "E"}}"#), stray);
    check(empty, &overlay.replace(r#""statuses": {}"#, r#""statuses": {"A": {}}"#), stray);
    check(empty, &overlay.replace(r#""exceptions": {}"#, r#""exceptions": {"A": "read"}"#), stray);
}

#[test]
fn inputs_are_bound_from_headers_of_aws_only() {
    // The gateway gives no others to `bind`.
    let model = ServiceModel::lambda();
    let mut count = 0;
    for operation in model.operations() {
        let members = model.get(operation.input).kind.members();
        for member in members.iter().filter(|member| member.location == super::table::Location::Header) {
            assert!(member.wire_name.starts_with("x-amz"), "`{}` of {}", member.wire_name, operation.name());
            count += 1;
        }
    }
    assert!(count >= 4, "{count} headers");
}
