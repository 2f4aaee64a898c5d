//! Configuration: the command line over the file over the defaults. The only reader of environment variables.

mod egress;
mod environment;
mod file;
mod known_keys;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use egress::EgressEntries;
pub(crate) use environment::Environment;
pub(crate) use known_keys::parse_table;
use wuwei_model::EgressPolicy;
use wuwei_queue::RetryPolicy;
use wuwei_recorder::LogLimits;
use wuwei_sandbox::StockOptions;

use crate::arguments::{SandboxMode, UpOptions};
use crate::failure::Failure;
use file::{AuthSetting, ConfigFile};

/// Address without `--listen` and without a `listen` key.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// Region without a `region` key.
pub(crate) const REGION_DEFAULT: &str = "us-east-1";
/// Account without an `account` key.
pub(crate) const ACCOUNT_DEFAULT: &str = "000000000000";
/// Domain of function URLs without a `url_domain` key: every name below it means this machine (RFC 6761).
const URL_DOMAIN_DEFAULT: &str = "localhost";
/// How long an idle instance is kept without a `keep_alive_s` key.
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(600);
/// Share of the machine's memory that functions may use without a `memory_mb` key, in percent.
const MEMORY_PERCENT_DEFAULT: u64 = 80;

/// Share of the machine's memory that sandboxes without a function may take without a `stock_memory_mb` key, in percent.
const STOCK_MEMORY_PERCENT_DEFAULT: u64 = 5;

/// Everything that `wuwei up` needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Address of the one listener.
    pub(crate) listen: SocketAddr,
    /// Where all state lives.
    pub(crate) data_dir: PathBuf,
    /// Region in ARNs and signatures.
    pub(crate) region: String,
    /// Account of the first key, twelve digits.
    pub(crate) account: String,
    /// Whether signatures are checked.
    pub(crate) signed: bool,
    /// Domain of the host names of function URLs, in lower case.
    pub(crate) url_domain: String,
    /// How functions are isolated.
    pub(crate) sandbox: SandboxMode,
    /// How long an idle instance is kept.
    pub(crate) keep_alive: Duration,
    /// Memory of all live instances together, in MB.
    pub(crate) memory_mb: u64,
    /// Concurrent executions of an account.
    pub(crate) account_concurrency: u32,
    /// What functions without a policy of their own may reach.
    pub(crate) egress: EgressPolicy,
    /// Sandboxes that stand ready before anybody asks for them, in all.
    pub(crate) stock: usize,
    /// Memory that these may take together, in MB.
    pub(crate) stock_memory_mb: u64,
    /// How long an event waits after its function has failed once, and twice.
    pub(crate) event_retry_delays_ms: [u64; 2],
    /// Disk that the log of one function may take.
    pub(crate) log_bytes_per_function: u64,
    /// Disk that all logs may take; `None` leaves it to the size of the disk.
    pub(crate) log_bytes_total: Option<u64>,
    /// Whether the roles of functions must have been made.
    pub(crate) strict_roles: bool,
}

impl Settings {
    /// Puts the settings together; `data_dir` is the global option of the command line.
    pub(crate) fn load(
        options: &UpOptions,
        data_dir: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let file = match &options.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let settings = Self {
            listen: options.listen.or(file.listen).unwrap_or(LISTEN_DEFAULT),
            data_dir: match (data_dir, file.data_dir) {
                (Some(given), _) => given.to_owned(),
                (None, Some(from_file)) => from_file,
                (None, None) => environment.data_dir()?,
            },
            region: file.region.unwrap_or_else(|| REGION_DEFAULT.to_owned()),
            account: file.account.unwrap_or_else(|| ACCOUNT_DEFAULT.to_owned()),
            signed: match file.auth.unwrap_or_default() {
                AuthSetting::Signed => true,
                AuthSetting::Off => false,
            },
            url_domain: file.url_domain.unwrap_or_else(|| URL_DOMAIN_DEFAULT.to_owned()).to_ascii_lowercase(),
            sandbox: options.sandbox.or(file.sandbox).unwrap_or_default(),
            keep_alive: file.keep_alive_s.map_or(KEEP_ALIVE_DEFAULT, Duration::from_secs),
            memory_mb: match file.memory_mb {
                Some(memory_mb) => memory_mb,
                None => machine_memory_mb()? * MEMORY_PERCENT_DEFAULT / 100,
            },
            account_concurrency: file.account_concurrency.unwrap_or(wuwei_model::limits::ACCOUNT_CONCURRENCY),
            egress: match (&options.egress, file.egress) {
                (Some(given), _) => given.clone(),
                (None, Some(entries)) => entries.policy()?,
                (None, None) => EgressPolicy::Internet,
            },
            stock: file.stock.unwrap_or_else(|| StockOptions::default().blanks_max),
            stock_memory_mb: match file.stock_memory_mb {
                Some(memory_mb) => memory_mb,
                None => machine_memory_mb()? * STOCK_MEMORY_PERCENT_DEFAULT / 100,
            },
            event_retry_delays_ms: file.event_retry_delays_s.map_or_else(
                || RetryPolicy::default().delays_ms,
                |delays| delays.map(|delay_s| u64::from(delay_s) * 1_000),
            ),
            log_bytes_per_function: file.log_bytes_per_function.unwrap_or(LogLimits::FUNCTION_BYTES_DEFAULT),
            log_bytes_total: file.log_bytes_total,
            strict_roles: file.strict_roles.unwrap_or_default(),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Failure> {
        if !self.signed && !self.listen.ip().is_loopback() {
            let what = format!("`auth = \"off\"` is refused on `{}`: anybody could run code here", self.listen);
            return Err(Failure::usage(what).hint("listen on 127.0.0.1, or remove `auth` from the configuration"));
        }
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            let what = format!("`account` is `{}`, expected twelve digits", self.account);
            return Err(Failure::usage(what).hint("for example account = \"000000000000\""));
        }
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(is_region) {
            let what = format!("`region` is `{}`, expected lower-case letters, digits and dashes", self.region);
            return Err(Failure::usage(what).hint("for example region = \"us-east-1\""));
        }
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !self.url_domain.split('.').all(is_label) {
            let what = format!("`url_domain` is `{}`, expected a domain name without a port", self.url_domain);
            return Err(Failure::usage(what).hint("for example url_domain = \"functions.example.com\""));
        }
        let least = u64::from(wuwei_model::limits::MEMORY_MB_MIN);
        if self.memory_mb < least {
            let what = format!("`memory_mb` is {}, too little for one function of {least} MB", self.memory_mb);
            return Err(Failure::usage(what).hint("it is the memory of all running functions together"));
        }
        let logs =
            [("log_bytes_per_function", Some(self.log_bytes_per_function)), ("log_bytes_total", self.log_bytes_total)];
        let least = LogLimits::LEAST_BYTES;
        if let Some((key, Some(bytes))) = logs.iter().find(|(_, bytes)| bytes.is_some_and(|bytes| bytes < least)) {
            let what = format!("`{key}` is {bytes}, expected at least {least}");
            return Err(Failure::usage(what).hint("the oldest lines of a log go when it has more bytes than this"));
        }
        Ok(())
    }
}

/// `MemTotal` of this machine, in MB.
fn machine_memory_mb() -> Result<u64, Failure> {
    let path = "/proc/meminfo";
    let hint = "set `memory_mb` in the configuration file";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::local(format!("cannot read `{path}`")).because(error).hint(hint))?;
    parse_mem_total_mb(&text).ok_or_else(|| Failure::local(format!("cannot find `MemTotal` in `{path}`")).hint(hint))
}

fn parse_mem_total_mb(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests;
