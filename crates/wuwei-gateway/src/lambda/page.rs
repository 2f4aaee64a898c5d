//! docs/lambda-api.md, which is made here so that it cannot be wrong.

use std::fmt::Write as _;

use wuwei_model::service::{Operation, ServiceModel};

use super::operations::{find, missing};

const HEAD: &str = "# The Lambda API, operation by operation

Made by `cargo run -p wuwei-gateway --example lambda_api > docs/lambda-api.md`; a test compares it. Every operation of the
pinned botocore model is listed. What is refused is refused with an error of its model (400), which says so; nothing is
accepted and then ignored, except where the last column or [differences-from-aws.md](differences-from-aws.md) says it.

| operation | method and path | here | |
|---|---|---|---|
";

const INFALLIBLE: &str = "writing to a text cannot fail";

/// What is to be known of operations that are there.
const NOTES: &[(&str, &str)] = &[
    (
        "CreateFunction",
        "packages in the request; what names things outside Lambda (VPC, file systems, keys, tracing, snapshots) is kept and shown",
    ),
    (
        "CreateEventSourceMapping",
        "kept, checked and shown with `Enabled` false; true is refused: nothing reads event sources yet",
    ),
    ("DeleteAlias", "with its URL, policy and settings; succeeds when there is none"),
    ("CreateCodeSigningConfig", "all code counts as unsigned: `Enforce` refuses it"),
    ("DeleteLayerVersion", "functions that use the version keep it"),
    ("GetAccountSettings", "usage is counted when asked for; the code of each version counts"),
    ("GetFunctionScalingConfig", "answers an error: no function has a capacity provider"),
    ("Invoke", "`Event` of a function with a dead-letter queue or a destination is refused"),
    ("InvokeWithResponseStream", "`ErrorCode` is the `errorType` of the error document, `ErrorDetails` the document"),
    ("PutFunctionConcurrency", "at least 100 stay unreserved, or the account's limit where that is smaller"),
    (
        "PutFunctionEventInvokeConfig",
        "destinations are kept and shown; `Event` invocations are refused while there are some",
    ),
    ("PutFunctionRecursionConfig", "kept and shown; loops are not noticed yet"),
    ("PutFunctionScalingConfig", "answers an error: no function has a capacity provider"),
    ("PutProvisionedConcurrencyConfig", "an alias with two versions divides its instances as it divides calls"),
    ("PutRuntimeManagementConfig", "kept and shown; `Manual` takes the build that the host has"),
    ("PublishLayerVersion", "content in the request"),
    ("TagResource", "functions, code signing configurations and event source mappings"),
    ("UpdateEventSourceMapping", "as CreateEventSourceMapping"),
    ("UpdateFunctionEventInvokeConfig", "as PutFunctionEventInvokeConfig"),
];

/// The text of docs/lambda-api.md.
#[must_use]
pub fn lambda_api_page() -> String {
    let operations: Vec<&Operation> = ServiceModel::lambda().operations().collect();
    let mut page = HEAD.to_owned();
    for operation in &operations {
        let name = operation.name();
        let (here, note) = match find(name) {
            Some(_) => ("yes".to_owned(), NOTES.iter().find(|(known, _)| *known == name).map_or("", |(_, note)| note)),
            None => (format!("refused: `{}`", missing::refusal(operation, "").name()), missing::reason(name)),
        };
        writeln!(page, "| {name} | `{} {}` | {here} | {note} |", operation.method(), operation.uri())
            .expect(INFALLIBLE);
    }
    let there = operations.iter().filter(|operation| find(operation.name()).is_some()).count();
    writeln!(page, "\n{there} of {} operations are there.", operations.len()).expect(INFALLIBLE);
    page
}

#[cfg(test)]
mod tests {
    use super::{NOTES, lambda_api_page};
    use crate::lambda::operations::find;

    #[test]
    fn the_page_says_what_the_server_does() {
        let page = include_str!("../../../../docs/lambda-api.md");
        let remedy = "run: cargo run -p wuwei-gateway --example lambda_api > docs/lambda-api.md";
        assert!(page == lambda_api_page(), "docs/lambda-api.md is not up to date; {remedy}");
    }

    #[test]
    fn notes_are_about_operations_that_are_there() {
        for (operation, _) in NOTES {
            assert!(find(operation).is_some(), "{operation}");
        }
    }
}
