/// Settings of a function that name things outside Lambda: kept, and shown as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// ARN of the queue or topic for events that failed.
    pub dead_letter: Option<String>,
    /// `None` where AWS leaves `VpcConfig` out of its answers.
    pub network: Option<VpcNetwork>,
    /// At most one.
    pub file_systems: Vec<FileSystem>,
    /// ARN of the key that environment variables are encrypted with.
    pub kms_key: Option<String>,
    /// Whether each call is to be traced.
    pub traces_actively: bool,
    /// Whether published versions are to be started from snapshots.
    pub snapshots: bool,
}

/// Where in a VPC a function is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VpcNetwork {
    /// Ids.
    pub subnets: Vec<String>,
    /// Ids.
    pub security_groups: Vec<String>,
    /// Whether it may speak IPv6 where subnets have both.
    pub allows_ipv6: bool,
}

/// A file system that a function is to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// ARN of its access point.
    pub arn: String,
    /// Below `/mnt/`.
    pub mount_path: String,
}
