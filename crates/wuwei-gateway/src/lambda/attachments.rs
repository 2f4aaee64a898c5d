//! Settings that name things outside Lambda: the dead-letter target, the VPC, file systems, the encryption key, tracing,
//! snapshots. What they may be, and how they are shown.

use serde_json::{Map, Value, json};
use wuwei_model::{Attachments, FileSystem, FunctionSettings, Runtime, RuntimeFamily, VpcNetwork};

use super::error::ApiError;

/// Largest `/tmp` of a function with snapshots, in MB.
const SNAPSHOT_EPHEMERAL_MB_MAX: u32 = 512;

/// Changes what the members name, and nothing else.
pub(super) fn update(attachments: &mut Attachments, members: &Map<String, Value>) -> Result<(), ApiError> {
    let text =
        |outer: &str, inner: &str| members.get(outer).and_then(|member| member.get(inner)).and_then(Value::as_str);
    if members.contains_key("DeadLetterConfig") {
        let target = text("DeadLetterConfig", "TargetArn").filter(|arn| !arn.is_empty());
        if target.is_some_and(|arn| !matches!(arn.split(':').nth(2), Some("sqs" | "sns"))) {
            return Err(ApiError::invalid_parameter(
                "The target of DeadLetterConfig must be the ARN of an Amazon SQS queue or an Amazon SNS topic.",
            ));
        }
        attachments.dead_letter = target.map(str::to_owned);
    }
    if let Some(config) = members.get("VpcConfig") {
        attachments.network = Some(network(config)?);
    }
    if let Some(configs) = members.get("FileSystemConfigs").and_then(Value::as_array) {
        let member =
            |config: &Value, name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let file_system =
            |config: &Value| FileSystem { arn: member(config, "Arn"), mount_path: member(config, "LocalMountPath") };
        attachments.file_systems = configs.iter().map(file_system).collect();
    }
    if let Some(key) = members.get("KMSKeyArn").and_then(Value::as_str) {
        attachments.kms_key = (!key.is_empty()).then(|| key.to_owned());
    }
    if let Some(mode) = text("TracingConfig", "Mode") {
        attachments.traces_actively = mode == "Active";
    }
    if let Some(apply_on) = text("SnapStart", "ApplyOn") {
        attachments.snapshots = apply_on == "PublishedVersions";
    }
    Ok(())
}

fn network(config: &Value) -> Result<VpcNetwork, ApiError> {
    let ids = |name: &str| -> Vec<String> {
        let items = config.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let network = VpcNetwork {
        subnets: ids("SubnetIds"),
        security_groups: ids("SecurityGroupIds"),
        allows_ipv6: config.get("Ipv6AllowedForDualStack").and_then(Value::as_bool).unwrap_or_default(),
    };
    if network.subnets.is_empty() != network.security_groups.is_empty() {
        return Err(ApiError::invalid_parameter("SubnetIds and SecurityIds must coexist or be both empty list."));
    }
    Ok(network)
}

/// Refuses settings that AWS does not take together.
pub(super) fn check(settings: &FunctionSettings) -> Result<(), ApiError> {
    let Attachments { network, file_systems, snapshots, .. } = &settings.attachments;
    let has_network = network.as_ref().is_some_and(|network| !network.subnets.is_empty());
    if let Some(file_system) = file_systems.first().filter(|_| !has_network) {
        return Err(ApiError::invalid_parameter(format!(
            "Function must be configured to execute in a VPC to reference access point: {}",
            file_system.arn
        )));
    }
    if !snapshots {
        return Ok(());
    }
    if settings.isolates_tenants {
        let text = "SnapStart is not supported for functions with tenancy configuration.";
        return Err(ApiError::invalid_parameter(text));
    }
    if !has_snapshots(&settings.runtime) {
        let text = format!("{} is not supported for SnapStart enabled functions.", settings.runtime);
        return Err(ApiError::invalid_parameter(text));
    }
    if !file_systems.is_empty() {
        return Err(ApiError::invalid_parameter("EFS is not supported for SnapStart enabled functions."));
    }
    if settings.ephemeral_mb > SNAPSHOT_EPHEMERAL_MB_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "Ephemeral storage of more than {SNAPSHOT_EPHEMERAL_MB_MAX} MB is not supported for SnapStart enabled \
             functions."
        )));
    }
    Ok(())
}

/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html>, read 2026-11: Java 11, Python 3.12, .NET 8, and
/// later ones.
fn has_snapshots(runtime: &Runtime) -> bool {
    let minor = |prefix: &str| runtime.as_str().strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
    match runtime.family() {
        RuntimeFamily::Python => minor("python3.").is_some_and(|minor| minor >= 12),
        RuntimeFamily::Other => {
            minor("java").is_some_and(|major| major >= 11) || minor("dotnet").is_some_and(|major| major >= 8)
        }
        RuntimeFamily::NodeJs | RuntimeFamily::Provided => false,
    }
}

/// Puts them into a `FunctionConfiguration`.
pub(super) fn show(attachments: &Attachments, members: &mut Map<String, Value>) {
    let Attachments { dead_letter, network, file_systems, kms_key, traces_actively, snapshots } = attachments;
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if let Some(arn) = dead_letter {
        set("DeadLetterConfig", json!({ "TargetArn": arn }));
    }
    if let Some(VpcNetwork { subnets, security_groups, allows_ipv6 }) = network {
        let mut config = json!({
            "SubnetIds": subnets,
            "SecurityGroupIds": security_groups,
            "Ipv6AllowedForDualStack": allows_ipv6,
        });
        // Which VPC the subnets are in, nobody here knows.
        if subnets.is_empty() {
            config["VpcId"] = json!("");
        }
        set("VpcConfig", config);
    }
    if !file_systems.is_empty() {
        let shown = |FileSystem { arn, mount_path }: &FileSystem| json!({ "Arn": arn, "LocalMountPath": mount_path });
        set("FileSystemConfigs", file_systems.iter().map(shown).collect());
    }
    if let Some(arn) = kms_key {
        set("KMSKeyArn", json!(arn));
    }
    set("TracingConfig", json!({ "Mode": if *traces_actively { "Active" } else { "PassThrough" } }));
    let apply_on = if *snapshots { "PublishedVersions" } else { "None" };
    // No version is started from a snapshot yet.
    set("SnapStart", json!({ "ApplyOn": apply_on, "OptimizationStatus": "Off" }));
}

#[cfg(test)]
mod tests {
    use super::{check, has_snapshots, show, update};
    use crate::lambda::settings::tests::version;
    use serde_json::{Map, Value, json};
    use wuwei_model::{Attachments, Runtime};

    fn updated(members: &Value) -> Result<Attachments, String> {
        let mut attachments = Attachments::default();
        let result = update(&mut attachments, members.as_object().unwrap());
        result.map(|()| attachments).map_err(|error| error.message().to_owned())
    }

    fn shown(attachments: &Attachments) -> Value {
        let mut members = Map::new();
        show(attachments, &mut members);
        Value::Object(members)
    }

    #[test]
    fn what_was_never_set_is_left_out() {
        let expected = json!({
            "TracingConfig": { "Mode": "PassThrough" },
            "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        });
        assert_eq!(shown(&Attachments::default()), expected);
        let emptied = updated(&json!({ "DeadLetterConfig": { "TargetArn": "" }, "KMSKeyArn": "" })).unwrap();
        assert_eq!(shown(&emptied), expected);
    }

    #[test]
    fn subnets_and_security_groups_come_together() {
        let text = "SubnetIds and SecurityIds must coexist or be both empty list.";
        assert_eq!(updated(&json!({ "VpcConfig": { "SubnetIds": ["subnet-1"] } })), Err(text.to_owned()));
        assert_eq!(updated(&json!({ "VpcConfig": { "SecurityGroupIds": ["sg-1"] } })), Err(text.to_owned()));
        let empty = updated(&json!({ "VpcConfig": {} })).unwrap();
        let expected =
            json!({ "SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": false });
        assert_eq!(shown(&empty)["VpcConfig"], expected);
    }

    #[test]
    fn dead_letters_go_to_queues_and_topics_only() {
        for service in ["sqs", "sns"] {
            let arn = format!("arn:aws:{service}:us-east-1:000000000000:x");
            let target = updated(&json!({ "DeadLetterConfig": { "TargetArn": arn } })).unwrap().dead_letter;
            assert_eq!(target, Some(arn));
        }
        updated(&json!({ "DeadLetterConfig": { "TargetArn": "arn:aws:s3:::bucket" } })).unwrap_err();
    }

    #[test]
    fn file_systems_need_a_network_and_snapshots_a_runtime_that_has_them() {
        let mut settings = version().settings;
        check(&settings).unwrap();
        let file_system = json!({ "FileSystemConfigs": [{ "Arn": "a", "LocalMountPath": "/mnt/a" }] });
        settings.attachments = updated(&file_system).unwrap();
        assert!(check(&settings).unwrap_err().message().starts_with("Function must be configured to execute in a VPC"));
        settings.attachments = updated(&json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } })).unwrap();
        let text = "python3.11 is not supported for SnapStart enabled functions.";
        assert_eq!(check(&settings).unwrap_err().message(), text);
        settings.runtime = Runtime::new("python3.13");
        check(&settings).unwrap();
        settings.ephemeral_mb = 513;
        check(&settings).unwrap_err();
    }

    #[test]
    fn snapshots_are_for_some_runtimes() {
        for (runtime, expected) in [
            ("python3.12", true),
            ("python3.9", false),
            ("java21", true),
            ("java8.al2", false),
            ("dotnet8", true),
            ("dotnet6", false),
            ("nodejs22.x", false),
            ("provided.al2023", false),
        ] {
            assert_eq!(has_snapshots(&Runtime::new(runtime)), expected, "{runtime}");
        }
    }
}
