//! The environment variables that a function finds.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>.
//! Set elsewhere: `_X_AMZN_TRACE_ID` by the runtime at each event; `AWS_LAMBDA_RUNTIME_API`, the interpreter's own
//! directory in `PATH`, credentials (`AWS_ACCESS_KEY_ID`…) and `AWS_ENDPOINT_URL` by the sandbox. Not set:
//! `AWS_XRAY_DAEMON_ADDRESS`, because nothing would answer it yet.

use std::collections::BTreeMap;

use wuwei_model::{FunctionVersion, LogFormat, Runtime, RuntimeFamily};
use wuwei_sandbox::{LANGUAGE, LIBRARY_PATH, PYTHON_PATH, TIME_ZONE};

const TASK_ROOT: &str = "/var/task";
const RUNTIME_DIR: &str = "/var/runtime";
const EXECUTABLE_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/bin";

/// Names that a function's configuration must not set.
const RESERVED: [&str; 21] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// Whether AWS refuses a function configuration that sets this variable.
#[must_use]
pub fn is_reserved_variable(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The environment of an instance: AWS's defined variables, then the function's own, which may replace the unreserved.
/// `provisioned` says that it is started ahead of any call.
pub(crate) fn environment_of(
    function: &FunctionVersion,
    log_stream_name: &str,
    provisioned: bool,
) -> Vec<(String, String)> {
    let initialization = if provisioned { "provisioned-concurrency" } else { "on-demand" };
    let settings = &function.settings;
    let family = settings.runtime.family();
    let mut variables: BTreeMap<&str, String> = BTreeMap::from([
        ("LANG", LANGUAGE.to_owned()),
        ("TZ", TIME_ZONE.to_owned()),
        ("PATH", EXECUTABLE_PATH.to_owned()),
        ("LD_LIBRARY_PATH", LIBRARY_PATH.to_owned()),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", settings.logging.format.as_str().to_owned()),
    ]);
    match settings.logging.format {
        LogFormat::Text => {}
        LogFormat::Json { application, system: _ } => {
            variables.insert("AWS_LAMBDA_LOG_LEVEL", application.as_str().to_owned());
        }
    }
    match family {
        RuntimeFamily::Python => {
            variables.insert("PYTHONPATH", PYTHON_PATH.to_owned());
        }
        RuntimeFamily::NodeJs => {
            variables.insert("NODE_PATH", node_path(&settings.runtime));
        }
        RuntimeFamily::Provided | RuntimeFamily::Other => {}
    }
    if let Some(own) = &settings.environment {
        variables.extend(
            own.iter().filter(|(name, _)| !is_reserved_variable(name)).map(|(name, value)| (name, value.to_owned())),
        );
    }
    variables.extend([
        ("_HANDLER", settings.handler.clone()),
        ("AWS_REGION", function.key.region.clone()),
        ("AWS_DEFAULT_REGION", function.key.region.clone()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.key.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", function.version.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", function.log_group()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream_name.to_owned()),
        ("LAMBDA_TASK_ROOT", TASK_ROOT.to_owned()),
        ("LAMBDA_RUNTIME_DIR", RUNTIME_DIR.to_owned()),
    ]);
    match family {
        RuntimeFamily::Python | RuntimeFamily::NodeJs | RuntimeFamily::Other => {
            variables.insert("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", settings.runtime));
        }
        // AWS defines it for managed runtimes only.
        RuntimeFamily::Provided => {}
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where Node.js looks for modules, after `node_modules` beside the code: layers, the runtime, the code itself.
fn node_path(runtime: &Runtime) -> String {
    let name = runtime.as_str().trim_end_matches(".x").replace("nodejs", "node");
    format!(
        "/opt/nodejs/{name}/node_modules:/opt/nodejs/node_modules:{RUNTIME_DIR}/node_modules:{RUNTIME_DIR}:{TASK_ROOT}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{environment_of, is_reserved_variable};
    use crate::testing::function;
    use wuwei_model::{ApplicationLogLevel, EnvironmentVariables, FunctionVersion, LogFormat, Runtime, SystemLogLevel};

    fn variables(function: &FunctionVersion) -> BTreeMap<String, String> {
        environment_of(function, "2026/11/20/[$LATEST]0123", false).into_iter().collect()
    }

    #[test]
    fn python_functions_find_the_variables_that_aws_defines() {
        let variables = variables(&function("thumbnail"));
        let check = |name: &str, expected: &str| assert_eq!(variables[name], expected, "{name}");
        check("_HANDLER", "app.handler");
        check("AWS_REGION", "us-east-1");
        check("AWS_DEFAULT_REGION", "us-east-1");
        check("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11");
        check("AWS_LAMBDA_FUNCTION_NAME", "thumbnail");
        check("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        check("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        check("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
        check("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/thumbnail");
        check("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/20/[$LATEST]0123");
        check("LAMBDA_TASK_ROOT", "/var/task");
        check("LAMBDA_RUNTIME_DIR", "/var/runtime");
        check("PYTHONPATH", "/var/runtime");
        check("TZ", ":UTC");
    }

    #[test]
    fn a_provisioned_instance_is_told_so() {
        let variables: BTreeMap<String, String> = environment_of(&function("f"), "s", true).into_iter().collect();
        assert_eq!(variables["AWS_LAMBDA_INITIALIZATION_TYPE"], "provisioned-concurrency");
    }

    #[test]
    fn node_functions_find_the_modules_of_layers() {
        let mut function = function("api");
        function.settings.runtime = Runtime::new("nodejs22.x");
        let variables = variables(&function);
        assert_eq!(variables["AWS_EXECUTION_ENV"], "AWS_Lambda_nodejs22.x");
        let path =
            "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task";
        assert_eq!(variables["NODE_PATH"], path);
        assert!(!variables.contains_key("PYTHONPATH"));
    }

    #[test]
    fn custom_runtimes_get_neither_an_execution_environment_nor_a_python_path() {
        let mut function = function("native");
        function.settings.runtime = Runtime::new("provided.al2023");
        let variables = variables(&function);
        assert!(!variables.contains_key("AWS_EXECUTION_ENV"));
        assert!(!variables.contains_key("PYTHONPATH"));
    }

    #[test]
    fn the_logging_configuration_is_told_to_the_runtime() {
        let mut function = function("f");
        let text = variables(&function);
        assert_eq!(text["AWS_LAMBDA_LOG_FORMAT"], "Text");
        assert!(!text.contains_key("AWS_LAMBDA_LOG_LEVEL"));
        let (application, system) = (ApplicationLogLevel::Debug, SystemLogLevel::Warn);
        function.settings.logging.format = LogFormat::Json { application, system };
        function.settings.logging.group = Some("/mine".to_owned());
        let json = variables(&function);
        assert_eq!((&*json["AWS_LAMBDA_LOG_FORMAT"], &*json["AWS_LAMBDA_LOG_LEVEL"]), ("JSON", "DEBUG"));
        assert_eq!(json["AWS_LAMBDA_LOG_GROUP_NAME"], "/mine");
    }

    #[test]
    fn own_variables_replace_unreserved_ones_only() {
        let mut function = function("own");
        let own = [("LANG", "de_DE.UTF-8"), ("AWS_REGION", "mars"), ("AWS_SESSION_TOKEN", "x"), ("TABLE", "users")];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        function.settings.environment = Some(EnvironmentVariables::new(BTreeMap::from(own)));
        let variables = variables(&function);
        assert_eq!(variables["LANG"], "de_DE.UTF-8");
        assert_eq!(variables["TABLE"], "users");
        assert_eq!(variables["AWS_REGION"], "us-east-1");
        assert!(!variables.contains_key("AWS_SESSION_TOKEN"));
    }

    #[test]
    fn reserved_names_are_told_from_free_ones() {
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "_HANDLER", "LAMBDA_TASK_ROOT"] {
            assert!(is_reserved_variable(name), "{name}");
        }
        for name in ["TZ", "PATH", "LANG", "AWS_ENDPOINT_URL", "aws_region"] {
            assert!(!is_reserved_variable(name), "{name}");
        }
    }
}
