//! From the members of a call to the settings of a function.

use serde_json::{Map, Value};
use wuwei_model::{Architecture, Attachments, FunctionSettings, LoggingConfig, Runtime, RuntimeFamily, limits};

use super::error::ApiError;
use super::{attachments, environment, logging};

/// Settings of a new function; the members have passed validation.
pub(super) fn of_new(members: &Map<String, Value>) -> Result<FunctionSettings, ApiError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let (Some(runtime), Some(handler)) = (text("Runtime"), text("Handler")) else {
        return Err(ApiError::invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    };
    let runtime = Runtime::new(runtime);
    let architecture = architecture(members, &runtime)?.unwrap_or_else(host_architecture);
    let mut settings = FunctionSettings {
        runtime,
        role: text("Role").unwrap_or_default().to_owned().into(),
        handler: handler.to_owned(),
        description: String::new(),
        timeout_s: limits::TIMEOUT_S_DEFAULT,
        memory_mb: limits::MEMORY_MB_DEFAULT,
        ephemeral_mb: limits::EPHEMERAL_MB_MIN,
        environment: None,
        architecture,
        logging: LoggingConfig::default(),
        layers: Vec::new(),
        attachments: Attachments::default(),
        isolates_tenants: members.contains_key("TenancyConfig"),
    };
    update(&mut settings, members)?;
    Ok(settings)
}

/// Changes what the members name, and nothing else.
pub(super) fn update(settings: &mut FunctionSettings, members: &Map<String, Value>) -> Result<(), ApiError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
    if let Some(runtime) = text("Runtime") {
        settings.runtime = Runtime::new(runtime);
    }
    if let Some(role) = text("Role") {
        settings.role = role.into();
    }
    if let Some(handler) = text("Handler") {
        settings.handler = handler;
    }
    if let Some(description) = text("Description") {
        settings.description = description;
    }
    if let Some(timeout_s) = number(members.get("Timeout")) {
        settings.timeout_s = timeout_s;
    }
    if let Some(memory_mb) = number(members.get("MemorySize")) {
        settings.memory_mb = memory_mb;
    }
    if let Some(ephemeral_mb) = number(members.get("EphemeralStorage").and_then(|storage| storage.get("Size"))) {
        settings.ephemeral_mb = ephemeral_mb;
    }
    if let Some(variables) = environment::read(members.get("Environment"))? {
        settings.environment = Some(variables);
    }
    logging::update(&mut settings.logging, members.get("LoggingConfig"))?;
    attachments::update(&mut settings.attachments, members)?;
    attachments::check(settings)
}

/// The `Architectures` member. Native code of another instruction set could not run here; scripts do not care.
pub(super) fn architecture(members: &Map<String, Value>, runtime: &Runtime) -> Result<Option<Architecture>, ApiError> {
    let named = members.get("Architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let architecture = match named {
        None => return Ok(None),
        Some("arm64") => Architecture::Arm64,
        Some(_x86_64) => Architecture::X86_64,
    };
    let native = match runtime.family() {
        RuntimeFamily::Provided => true,
        RuntimeFamily::Python | RuntimeFamily::NodeJs | RuntimeFamily::Other => false,
    };
    if native && architecture != host_architecture() {
        return Err(ApiError::invalid_parameter(format!(
            "Architectures: this server's machine is {}: it cannot run native code for {}",
            host_architecture().as_str(),
            architecture.as_str()
        )));
    }
    Ok(Some(architecture))
}

fn host_architecture() -> Architecture {
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{host_architecture, of_new, update};
    use serde_json::{Value, json};
    use wuwei_model::{
        Architecture, CodeDigest, FunctionCode, FunctionKey, FunctionSettings, FunctionVersion, LastUpdateStatus,
        State, Version,
    };

    fn minimal() -> Value {
        json!({ "Runtime": "python3.11", "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/r" })
    }

    /// An active `$LATEST` of a function `f`.
    pub(in crate::lambda) fn version() -> FunctionVersion {
        FunctionVersion {
            key: FunctionKey {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: "f".to_owned(),
            },
            version: Version::Latest,
            settings: settings(&minimal()),
            code: FunctionCode { digest: CodeDigest::of(b"zip"), size_bytes: 3 },
            last_modified_ms: 1_000,
            revision_id: "first".to_owned(),
            state: State::Active,
            state_reason: None,
            last_update_status: LastUpdateStatus::Successful,
            last_update_reason: None,
        }
    }

    fn settings(members: &Value) -> FunctionSettings {
        of_new(members.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_new_function_has_the_defaults_of_aws() {
        let settings = settings(&minimal());
        assert_eq!((settings.timeout_s, settings.memory_mb, settings.ephemeral_mb), (3, 128, 512));
        assert_eq!((settings.description.as_str(), settings.environment), ("", None));
        assert_eq!(settings.architecture, host_architecture());
    }

    #[test]
    fn runtime_and_handler_are_mandatory() {
        for missing in ["Runtime", "Handler"] {
            let mut members = minimal();
            members.as_object_mut().unwrap().remove(missing);
            let error = of_new(members.as_object().unwrap()).unwrap_err();
            assert!(error.message().starts_with("Runtime and Handler are mandatory"), "{missing}");
        }
    }

    #[test]
    fn an_update_changes_only_what_it_names() {
        let mut settings = settings(&minimal());
        let before = settings.clone();
        update(&mut settings, json!({}).as_object().unwrap()).unwrap();
        assert_eq!(settings, before);
        let members =
            json!({ "Timeout": 7, "EphemeralStorage": { "Size": 600 }, "Environment": { "Variables": { "A": "b" } } });
        update(&mut settings, members.as_object().unwrap()).unwrap();
        assert_eq!((settings.timeout_s, settings.ephemeral_mb, settings.memory_mb), (7, 600, 128));
        assert_eq!(settings.environment.unwrap().as_map()["A"], "b");
    }

    #[test]
    fn foreign_instruction_sets_are_refused_for_native_code_only() {
        let foreign = match host_architecture() {
            Architecture::X86_64 => "arm64",
            Architecture::Arm64 => "x86_64",
        };
        let mut members = minimal();
        members["Architectures"] = json!([foreign]);
        assert_eq!(settings(&members).architecture.as_str(), foreign);
        members["Runtime"] = json!("provided.al2023");
        let error = of_new(members.as_object().unwrap()).unwrap_err();
        assert!(error.message().contains(foreign));
    }
}
