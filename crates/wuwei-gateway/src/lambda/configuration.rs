//! `FunctionConfiguration`: how a version of a function is shown.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wuwei_model::{FunctionVersion, LastUpdateStatus, LayerReference, LogFormat, State};

use super::attachments;

/// Qualifier of the version that can change.
pub(crate) const LATEST: &str = "$LATEST";
/// Why a function is Pending, or its change in progress, in AWS's words.
pub(crate) const CREATING_REASON: &str = "The function is being created.";
const CREATING_CODE: &str = "Creating";

/// AWS shows the same thing differently in different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// ARN with the version behind it.
    pub(crate) qualified: bool,
    /// With `State` and `RuntimeVersionConfig`: not in lists.
    pub(crate) with_state: bool,
    /// With `LastUpdateStatus`: neither in lists nor when a function has just been created.
    pub(crate) with_update: bool,
}

impl View {
    /// What reads and updates answer.
    pub(crate) const FULL: Self = Self { qualified: false, with_state: true, with_update: true };
    /// What CreateFunction answers.
    pub(crate) const CREATED: Self = Self { qualified: false, with_state: true, with_update: false };
    /// An item of a list.
    pub(crate) const LISTED: Self = Self { qualified: false, with_state: false, with_update: false };

    /// The same, with the version in the ARN.
    pub(crate) const fn qualified(self, qualified: bool) -> Self {
        Self { qualified, ..self }
    }
}

/// The members of a `FunctionConfiguration`.
pub(crate) fn configuration(version: &FunctionVersion, view: View) -> Map<String, Value> {
    let FunctionVersion { key, settings, .. } = version;
    let number = version.version.to_string();
    let arn = if view.qualified { key.qualified_arn(&number) } else { key.arn() };
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("FunctionName", json!(key.name));
    set("FunctionArn", json!(arn));
    set("Runtime", json!(settings.runtime.as_str()));
    set("Role", json!(settings.role.arn));
    set("Handler", json!(settings.handler));
    set("CodeSize", json!(version.code.size_bytes));
    set("Description", json!(settings.description));
    set("Timeout", json!(settings.timeout_s));
    set("MemorySize", json!(settings.memory_mb));
    set("LastModified", json!(timestamp(version.last_modified_ms)));
    set("CodeSha256", json!(version.code.digest.to_string()));
    set("Version", json!(number));
    if let Some(environment) = &settings.environment {
        set("Environment", json!({ "Variables": environment.as_map() }));
    }
    set("RevisionId", json!(version.revision_id));
    set("PackageType", json!("Zip"));
    set("Architectures", json!([settings.architecture.as_str()]));
    set("EphemeralStorage", json!({ "Size": settings.ephemeral_mb }));
    set("LoggingConfig", logging(version));
    if !settings.layers.is_empty() {
        let shown = |layer: &LayerReference| json!({ "Arn": layer.arn(), "CodeSize": layer.code.size_bytes });
        set("Layers", settings.layers.iter().map(shown).collect());
    }
    attachments::show(&settings.attachments, &mut members);
    if settings.isolates_tenants {
        members.insert("TenancyConfig".to_owned(), json!({ "TenantIsolationMode": "PER_TENANT" }));
    }
    if view.with_state {
        let runtime_arn = runtime_version_arn(&key.region, settings.runtime.as_str());
        members.insert("RuntimeVersionConfig".to_owned(), json!({ "RuntimeVersionArn": runtime_arn }));
        add_state(&mut members, version);
    }
    if view.with_update {
        add_update(&mut members, version);
    }
    members
}

fn logging(version: &FunctionVersion) -> Value {
    let config = &version.settings.logging;
    let mut members = Map::new();
    members.insert("LogFormat".to_owned(), json!(config.format.as_str()));
    match config.format {
        LogFormat::Text => {}
        LogFormat::Json { application, system } => {
            members.insert("ApplicationLogLevel".to_owned(), json!(application.as_str()));
            members.insert("SystemLogLevel".to_owned(), json!(system.as_str()));
        }
    }
    members.insert("LogGroup".to_owned(), json!(version.log_group()));
    Value::Object(members)
}

fn add_state(members: &mut Map<String, Value>, version: &FunctionVersion) {
    let (state, code) = match version.state {
        State::Pending => ("Pending", Some(CREATING_CODE)),
        State::Active => ("Active", None),
        State::Failed => ("Failed", Some("InternalError")),
    };
    members.insert("State".to_owned(), json!(state));
    if let Some(code) = code {
        members.insert("StateReason".to_owned(), json!(version.state_reason.as_deref().unwrap_or(CREATING_REASON)));
        members.insert("StateReasonCode".to_owned(), json!(code));
    }
}

fn add_update(members: &mut Map<String, Value>, version: &FunctionVersion) {
    // `Creating` is what AWS answers while a change is in progress, although its own model does not list it.
    let (status, code) = match version.last_update_status {
        LastUpdateStatus::Successful => ("Successful", None),
        LastUpdateStatus::InProgress => ("InProgress", Some(CREATING_CODE)),
        LastUpdateStatus::Failed => ("Failed", Some("InternalError")),
    };
    members.insert("LastUpdateStatus".to_owned(), json!(status));
    if let Some(reason) = &version.last_update_reason {
        members.insert("LastUpdateStatusReason".to_owned(), json!(reason));
    }
    if let Some(code) = code {
        members.insert("LastUpdateStatusReasonCode".to_owned(), json!(code));
    }
}

/// `arn:aws:lambda:<region>::runtime:<hash>`; the hash is of the identifier, the host's interpreter having no ARN.
pub(crate) fn runtime_version_arn(region: &str, runtime: &str) -> String {
    format!("arn:aws:lambda:{region}::runtime:{}", hex::encode(Sha256::digest(runtime)))
}

/// `2026-11-20T08:00:00.000+0000`.
pub(crate) fn timestamp(at_ms: i64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(FORMAT).expect("a valid time has all the format's components")
}

#[cfg(test)]
mod tests {
    use super::{CREATING_REASON, View, configuration, timestamp};
    use crate::lambda::settings::tests::version;
    use serde_json::json;
    use wuwei_model::{LastUpdateStatus, State, Version};

    #[test]
    fn timestamps_have_milliseconds_and_a_numeric_zone() {
        assert_eq!(timestamp(1_795_161_600_000), "2026-11-20T08:00:00.000+0000");
        assert_eq!(timestamp(7), "1970-01-01T00:00:00.007+0000");
    }

    #[test]
    fn a_new_function_is_pending_and_has_no_update_yet() {
        let mut function = version();
        function.state = State::Pending;
        let members = configuration(&function, View::CREATED);
        assert_eq!(members["State"], "Pending");
        assert_eq!(members["StateReason"], "The function is being created.");
        assert_eq!(members["StateReasonCode"], "Creating");
        assert!(!members.contains_key("LastUpdateStatus"));
        assert!(!members.contains_key("Environment"));
        assert_eq!(members["LoggingConfig"], json!({ "LogFormat": "Text", "LogGroup": "/aws/lambda/f" }));
    }

    #[test]
    fn a_change_in_progress_says_why() {
        let mut function = version();
        function.last_update_status = LastUpdateStatus::InProgress;
        function.last_update_reason = Some(CREATING_REASON.to_owned());
        let members = configuration(&function, View::FULL);
        assert_eq!(members["State"], "Active");
        assert!(!members.contains_key("StateReason"));
        assert_eq!(members["LastUpdateStatus"], "InProgress");
        assert_eq!(members["LastUpdateStatusReason"], CREATING_REASON);
        assert_eq!(members["LastUpdateStatusReasonCode"], "Creating");
    }

    #[test]
    fn lists_leave_states_out_and_may_qualify_the_arn() {
        let mut function = version();
        function.version = Version::Published(7);
        let members = configuration(&function, View::LISTED.qualified(true));
        assert_eq!(members["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:7");
        assert_eq!(members["Version"], "7");
        for absent in ["State", "LastUpdateStatus", "RuntimeVersionConfig"] {
            assert!(!members.contains_key(absent), "{absent}");
        }
    }
}
