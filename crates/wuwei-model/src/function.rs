use std::fmt;

use crate::{Attachments, CodeDigest, EnvironmentVariables, LayerReference, LoggingConfig, merged_digest};

/// Which function: the identity that names, ARNs and keys of the store are built from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey {
    /// Twelve digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
    /// 1-64 characters of `[a-zA-Z0-9-_]`, validated at the edge.
    pub name: String,
}

impl FunctionKey {
    /// `arn:aws:lambda:<region>:<account>:function:<name>`.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// The ARN with a qualifier: a version number, `$LATEST` or an alias.
    #[must_use]
    pub fn qualified_arn(&self, qualifier: &str) -> String {
        format!("{}:{qualifier}", self.arn())
    }
}

/// `$LATEST`, or the number of a published version (from 1, never reused).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The unpublished, mutable version.
    Latest,
    /// A published, immutable version.
    Published(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => formatter.write_str("$LATEST"),
            Self::Published(number) => write!(formatter, "{number}"),
        }
    }
}

/// A runtime identifier as AWS spells it, for example `python3.11` or `provided.al2023`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Runtime(String);

/// How a runtime is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuntimeFamily {
    /// `python3.x`: the host's interpreter with wuwei's bootstrap.
    Python,
    /// `nodejs*.x`: the host's Node.js with wuwei's bootstrap.
    NodeJs,
    /// `provided*`: the package's own `bootstrap` executable.
    Provided,
    /// Known to AWS, not yet run by wuwei.
    Other,
}

impl Runtime {
    /// Takes an identifier that the edge has validated against the service model.
    #[must_use]
    pub fn new(identifier: impl Into<String>) -> Self {
        Self(identifier.into())
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is started.
    #[must_use]
    pub fn family(&self) -> RuntimeFamily {
        if self.0.starts_with("python3.") {
            RuntimeFamily::Python
        } else if self.0.starts_with("nodejs") && self.0.ends_with(".x") {
            RuntimeFamily::NodeJs
        } else if self.0.starts_with("provided") {
            RuntimeFamily::Provided
        } else {
            RuntimeFamily::Other
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Instruction set of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// `x86_64`.
    X86_64,
    /// `arm64`.
    Arm64,
}

impl Architecture {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// The code package of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCode {
    /// SHA-256 of the zip file.
    pub digest: CodeDigest,
    /// Size of the zip file in bytes (AWS's `CodeSize`).
    pub size_bytes: u64,
}

/// The role that a function runs under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionRole {
    /// As it was given.
    pub arn: String,
    /// Id of the role that was meant; `None` when nobody had made one of this ARN when it was given.
    pub id: Option<String>,
}

impl From<String> for ExecutionRole {
    fn from(arn: String) -> Self {
        Self { arn, id: None }
    }
}

/// What a deployer sets on a function; a published version freezes a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    /// Runtime identifier.
    pub runtime: Runtime,
    /// What it runs under; need not exist unless strict mode is on.
    pub role: ExecutionRole,
    /// For example `app.handler`.
    pub handler: String,
    /// Up to 256 characters; may be empty.
    pub description: String,
    /// 1-900.
    pub timeout_s: u32,
    /// 128-10,240.
    pub memory_mb: u32,
    /// Size of `/tmp`, 512-10,240.
    pub ephemeral_mb: u32,
    /// `None` where AWS leaves `Environment` out of its answers.
    pub environment: Option<EnvironmentVariables>,
    /// Exactly one.
    pub architecture: Architecture,
    /// How its log is written.
    pub logging: LoggingConfig,
    /// At most five; what a later one has covers what an earlier one has.
    pub layers: Vec<LayerReference>,
    /// What it names outside Lambda.
    pub attachments: Attachments,
    /// Whether an instance serves one tenant only, whom each call names; never changed.
    pub isolates_tenants: bool,
}

impl FunctionSettings {
    /// Packages of its layers, in order.
    pub fn layer_digests(&self) -> impl Iterator<Item = CodeDigest> {
        self.layers.iter().map(|layer| layer.code.digest)
    }

    /// What stands for its layers together.
    #[must_use]
    pub fn merged_layers(&self) -> Option<CodeDigest> {
        merged_digest(&self.layer_digests().collect::<Vec<_>>())
    }
}

/// Life cycle of a function (AWS's `State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Being made ready; cannot be invoked or changed.
    Pending,
    /// Ready.
    Active,
    /// Creation failed.
    Failed,
}

/// Progress of the last change (AWS's `LastUpdateStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUpdateStatus {
    /// Done.
    Successful,
    /// The change failed; the version before it serves.
    Failed,
    /// Under way; further changes are refused.
    InProgress,
}

/// One version of one function, as the store keeps it and the engine runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionVersion {
    /// Which function.
    pub key: FunctionKey,
    /// Which version.
    pub version: Version,
    /// Settings.
    pub settings: FunctionSettings,
    /// Code.
    pub code: FunctionCode,
    /// Milliseconds since the Unix epoch.
    pub last_modified_ms: i64,
    /// UUID, new at each change.
    pub revision_id: String,
    /// Life cycle.
    pub state: State,
    /// Why, when the state is not Active.
    pub state_reason: Option<String>,
    /// Progress of the last change.
    pub last_update_status: LastUpdateStatus,
    /// Why, when the last change failed.
    pub last_update_reason: Option<String>,
}

impl FunctionVersion {
    /// Name of the log group that its log belongs to.
    #[must_use]
    pub fn log_group(&self) -> String {
        self.settings.logging.group.clone().unwrap_or_else(|| format!("/aws/lambda/{}", self.key.name))
    }
}
