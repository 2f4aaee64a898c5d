use proptest::prelude::{any, proptest};

use crate::service::{Route, ServiceModel};

/// Name of the operation with its labels, or why there is none.
fn route(method: &str, target: &str) -> (String, Vec<(String, String)>) {
    match ServiceModel::lambda().route(method, target) {
        Route::Found { operation, labels } => (operation.name().to_owned(), labels),
        Route::MethodNotAllowed => ("method not allowed".to_owned(), vec![]),
        Route::Unknown => ("unknown".to_owned(), vec![]),
    }
}

/// Replaces each `{Label}` and says what the labels are.
fn filled(uri: &str, value: &str) -> (String, Vec<String>) {
    let mut names = vec![];
    let segments: Vec<&str> = uri
        .split('/')
        .map(|segment| {
            let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return segment };
            names.push(name.to_owned());
            value
        })
        .collect();
    (segments.join("/"), names)
}

#[test]
fn every_operation_of_the_table_is_found_by_its_own_path() {
    for operation in ServiceModel::lambda().operations() {
        for (raw, decoded) in [
            ("abc", "abc"),
            ("7", "7"),
            ("arn:aws:lambda:us-east-1:123456789012:function:fn", "arn:aws:lambda:us-east-1:123456789012:function:fn"),
            ("arn%3Aaws%3Alambda%3Ax%2Fy", "arn:aws:lambda:x/y"),
            ("%24LATEST", "$LATEST"),
        ] {
            let (target, names) = filled(operation.uri(), raw);
            let expected: Vec<(String, String)> = names.into_iter().map(|name| (name, decoded.to_owned())).collect();
            assert_eq!(route(operation.method(), &target), (operation.name().to_owned(), expected), "{target}");
        }
    }
}

#[test]
fn known_request_lines_find_their_operation() {
    let check = |method: &str, target: &str, name: &str, labels: &[(&str, &str)]| {
        let labels = super::owned(labels);
        assert_eq!(route(method, target), (name.to_owned(), labels), "{method} {target}");
    };
    let function = |name| [("FunctionName", name)];
    check("GET", "/2015-03-31/functions", "ListFunctions", &[]);
    check("GET", "/2015-03-31/functions/", "ListFunctions", &[]);
    check("GET", "/2015-03-31/functions/?MaxItems=5", "ListFunctions", &[]);
    check("POST", "/2015-03-31/functions", "CreateFunction", &[]);
    check("GET", "/2015-03-31/functions/fn", "GetFunction", &function("fn"));
    check("GET", "/2015-03-31/functions/fn/", "GetFunction", &function("fn"));
    check("DELETE", "/2015-03-31/functions/fn?Qualifier=1", "DeleteFunction", &function("fn"));
    check("POST", "/2015-03-31/functions/fn/invocations", "Invoke", &function("fn"));
    check("POST", "/2015-03-31/functions/fn:prod/invocations", "Invoke", &function("fn:prod"));
    check("POST", "/2015-03-31/functions/fn%3Aprod/invocations", "Invoke", &function("fn:prod"));
    check(
        "PUT",
        "/2015-03-31/functions/configuration/configuration",
        "UpdateFunctionConfiguration",
        &function("configuration"),
    );
    check("GET", "/2015-03-31/functions/a%2Fb", "GetFunction", &function("a/b"));
    check("GET", "/2015-03-31/functions/%zz", "GetFunction", &function("%zz"));
    check("GET", "/2015-03-31/functions/a+b", "GetFunction", &function("a+b"));
    check(
        "DELETE",
        "/2015-03-31/functions/fn/aliases/live",
        "DeleteAlias",
        &[("FunctionName", "fn"), ("Name", "live")],
    );
    check(
        "GET",
        "/2019-09-25/functions/fn/event-invoke-config/list",
        "ListFunctionEventInvokeConfigs",
        &function("fn"),
    );
    check("GET", "/2018-10-31/layers", "ListLayers", &[]);
    check("GET", "/2018-10-31/layers?Marker=a", "ListLayers", &[]);
    check("GET", "/2018-10-31/layers?find=LayerVersion&Arn=a", "GetLayerVersionByArn", &[]);
    check(
        "GET",
        "/2019-09-30/functions/fn/provisioned-concurrency",
        "GetProvisionedConcurrencyConfig",
        &function("fn"),
    );
    check(
        "GET",
        "/2019-09-30/functions/fn/provisioned-concurrency?List=ALL",
        "ListProvisionedConcurrencyConfigs",
        &function("fn"),
    );
    check("PATCH", "/2015-03-31/functions/fn", "method not allowed", &[]);
    check("GET", "/2015-03-31/functions/fn/invocations", "method not allowed", &[]);
    check("get", "/2015-03-31/functions", "method not allowed", &[]);
    check("GET", "/2015-03-31/functions//configuration", "unknown", &[]);
    check("GET", "/2015-03-31/functions//", "unknown", &[]);
    check("GET", "/2015-03-31", "unknown", &[]);
    check("GET", "/2015-03-31/Functions", "unknown", &[]);
    check("GET", "/2099-03-31/functions", "unknown", &[]);
    check("GET", "/", "unknown", &[]);
    check("GET", "", "unknown", &[]);
    check("OPTIONS", "*", "unknown", &[]);
    check("GET", "2015-03-31/functions", "unknown", &[]);
}

proptest! {
    #[test]
    fn routing_never_panics(method in "[A-Z]{0,7}", target in any::<String>()) {
        route(&method, &target);
    }

    #[test]
    fn routing_of_likely_paths_never_panics(target in "(/|2015-03-31|functions|2018-10-31|layers|[?]|find=LayerVersion|%|%3A|é|fn){0,12}") {
        route("GET", &target);
    }
}
