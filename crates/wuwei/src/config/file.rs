use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::egress::EgressEntries;
use super::known_keys::parse_table;
use crate::arguments::SandboxMode;
use crate::failure::Failure;

/// Keys of the configuration file.
const KEYS: &[&str] = &[
    "listen",
    "data_dir",
    "region",
    "account",
    "auth",
    "url_domain",
    "sandbox",
    "keep_alive_s",
    "memory_mb",
    "account_concurrency",
    "egress",
    "stock",
    "stock_memory_mb",
    "event_retry_delays_s",
    "log_bytes_per_function",
    "log_bytes_total",
    "strict_roles",
];

/// The configuration file of `wuwei up --config`. Every key is optional.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ConfigFile {
    /// Address and port of the listener.
    pub(super) listen: Option<SocketAddr>,
    /// Where all state lives.
    pub(super) data_dir: Option<PathBuf>,
    /// Region in ARNs and signatures.
    pub(super) region: Option<String>,
    /// Account of the first key, twelve digits.
    pub(super) account: Option<String>,
    /// Whether signatures are checked.
    pub(super) auth: Option<AuthSetting>,
    /// Domain of the host names of function URLs.
    pub(super) url_domain: Option<String>,
    /// How functions are isolated.
    pub(super) sandbox: Option<SandboxMode>,
    /// How long an idle instance is kept, in seconds.
    pub(super) keep_alive_s: Option<u64>,
    /// Memory of all live instances together, in MB.
    pub(super) memory_mb: Option<u64>,
    /// Concurrent executions of an account.
    pub(super) account_concurrency: Option<u32>,
    /// What functions without a policy of their own may reach.
    pub(super) egress: Option<EgressEntries>,
    /// Sandboxes that stand ready before anybody asks for them, in all.
    pub(super) stock: Option<usize>,
    /// Memory that these may take together, in MB.
    pub(super) stock_memory_mb: Option<u64>,
    /// How long an event waits after its function has failed once, and twice, in seconds.
    pub(super) event_retry_delays_s: Option<[u32; 2]>,
    /// Disk that the log of one function may take.
    pub(super) log_bytes_per_function: Option<u64>,
    /// Disk that all logs may take.
    pub(super) log_bytes_total: Option<u64>,
    /// Whether the roles of functions must have been made with IAM.
    pub(super) strict_roles: Option<bool>,
}

/// Value of `auth`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthSetting {
    /// Every request carries a valid signature.
    #[default]
    Signed,
    /// Any signature will do; only on a loopback listener.
    Off,
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read configuration `{}`", path.display()))
                .because(error)
                .hint("name a readable TOML file with --config FILE")
        })?;
        parse_table(&text, KEYS, &path.display().to_string())
    }
}
