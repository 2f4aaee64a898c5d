//! The command line's grammar: names, help texts and value forms of every command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wuwei_model::{EgressError, EgressPolicy};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the function failed (invoke), or something essential is missing (doctor)
  2  wrong usage, or a wrong configuration or project file
  3  the server cannot be reached
  4  the server refused the request
  5  something failed on this machine
  6  this host offers no sandbox (up): see `wuwei doctor`";

/// Functions as a service on your own machine, behind the AWS Lambda API.
#[derive(Debug, Parser)]
#[command(name = "wuwei", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Arguments {
    /// Where the server keeps its state [default: $WUWEI_DATA_DIR, /var/lib/wuwei as root, else
    /// $XDG_DATA_HOME/wuwei]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When output has colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Never
    Never,
}

impl Color {
    /// Sets the choice for everything that this process prints.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server and keep it in the foreground
    Up(UpOptions),
    /// Package a directory or file and create or update a function from it
    Deploy(DeployOptions),
    /// Call a function and print its answer
    Invoke(InvokeOptions),
    /// Show what a function wrote
    Logs(LogsOptions),
    /// Show what functions used, and what AWS would have charged for it
    Cost(CostOptions),
    /// List the functions
    Ls,
    /// Print the URL of a function
    Url(UrlOptions),
    /// Remove a function and all its versions, or one version
    Rm(RmOptions),
    /// List the runtimes that the server can run
    Runtimes,
    /// Print the variables that point any AWS client at the server
    Env,
    /// Publish, list, remove and import layers
    Layer(LayerOptions),
    /// Manage events that were given up
    DeadLetters(DeadLettersOptions),
    /// Manage access keys
    Key(KeyOptions),
    /// Manage accounts: functions, logs, roles and keys of their own, side by side on one server
    Account(AccountOptions),
    /// Show who did what: every call that administers, with its result
    Audit(AuditOptions),
    /// Show what this host offers, and what each missing piece costs
    Doctor,
    /// Print a completion script for a shell
    Completions(CompletionsOptions),
    /// Starts the other helpers of a server that was started by root; started by it
    #[command(name = "__steward", hide = true)]
    Steward,
    /// Builds sandboxes for the server; started by it
    #[command(name = "__launcher", hide = true)]
    Launcher(HelperOptions),
    /// Makes networks for the server; started by it
    #[command(name = "__filler", hide = true)]
    Filler(HelperOptions),
    /// Makes file systems for the server; started by it
    #[command(name = "__keeper", hide = true)]
    Keeper(HelperOptions),
}

/// What a steward appoints.
#[derive(Debug, Args)]
pub(crate) struct HelperOptions {
    /// Name of the server
    #[arg(long, requires = "first_user")]
    pub(crate) server: Option<String>,
    /// First of its host users
    #[arg(long, requires = "server")]
    pub(crate) first_user: Option<u32>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct UpOptions {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How much isolation a function needs to start [default: full]
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) sandbox: Option<SandboxMode>,
    /// What functions may reach that have no policy of their own: none, internet, or a list of host:port and
    /// network[:port] with commas [default: internet]
    #[arg(long, value_name = "POLICY")]
    pub(crate) egress: Option<EgressPolicy>,
}

/// How functions are isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SandboxMode {
    /// Namespaces, seccomp, cgroups: all of it, or the server does not start
    #[default]
    Full,
    /// What the host gives; only for code that you trust
    Reduced,
}

#[derive(Debug, Args)]
pub(crate) struct DeployOptions {
    /// Directory, .zip, .py, .mjs, .js, .cjs or executable file
    #[arg(value_name = "DIR|FILE")]
    pub(crate) path: PathBuf,
    /// Name of the function [default: the name of the directory or file]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Runtime, for example python3.11, nodejs22.x or provided.al2023 [default: recognised]
    #[arg(long)]
    pub(crate) runtime: Option<String>,
    /// Handler, for example app.handler [default: recognised]
    #[arg(long)]
    pub(crate) handler: Option<String>,
    /// Memory in MB, 128 to 10240
    #[arg(long, value_name = "MB")]
    pub(crate) memory: Option<u32>,
    /// Time limit of a call in seconds, 1 to 900
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// Environment variable; the function has exactly those given, when any is given
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<Variable>,
    /// ARN of the role
    #[arg(long, value_name = "ARN")]
    pub(crate) role: Option<String>,
    /// Version of a layer, in the order of the options; the function has exactly those given, when any is given
    #[arg(long = "layer", value_name = "ARN|NAME:VERSION")]
    pub(crate) layers: Vec<String>,
    /// What it may reach: none, internet, or a list of host:port and network[:port] with commas; default goes back to
    /// the server's
    #[arg(long, value_name = "POLICY")]
    pub(crate) egress: Option<EgressWish>,
    /// Give the function a URL: for anybody (NONE, the default), or for holders of keys (AWS_IAM)
    #[arg(
        long, value_name = "AUTH", value_enum, ignore_case = true,
        num_args = 0..=1, require_equals = true, default_missing_value = "NONE"
    )]
    pub(crate) url: Option<UrlAuth>,
    /// When the URL sends its answer: complete (BUFFERED, the default), or as it comes (RESPONSE_STREAM)
    #[arg(long, value_name = "MODE", value_enum, ignore_case = true, requires = "url")]
    pub(crate) url_mode: Option<UrlMode>,
}

/// Who may call a function's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UrlAuth {
    /// Anybody
    #[value(name = "NONE")]
    None,
    /// Who signs with a key that may invoke the function
    #[value(name = "AWS_IAM")]
    AwsIam,
}

impl UrlAuth {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
        }
    }
}

/// When a function's URL sends its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UrlMode {
    /// When it is complete
    #[value(name = "BUFFERED")]
    Buffered,
    /// Part by part, as the function writes it
    #[value(name = "RESPONSE_STREAM")]
    ResponseStream,
}

impl UrlMode {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "BUFFERED",
            Self::ResponseStream => "RESPONSE_STREAM",
        }
    }
}

/// What a deployer wants a function to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EgressWish {
    /// What the server has for all.
    Default,
    /// This.
    Own(EgressPolicy),
}

impl FromStr for EgressWish {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        if text == "default" { Ok(Self::Default) } else { text.parse().map(Self::Own) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct UrlOptions {
    /// Name of the function
    pub(crate) name: String,
}

/// `KEY=VALUE` on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            Some(_) | None => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InvokeOptions {
    /// Name or ARN of the function; `name:qualifier` for a version
    pub(crate) name: String,
    /// The event: JSON text, @FILE, or - for standard input [default: {}]
    #[arg(short, long, value_name = "JSON|@FILE|-")]
    pub(crate) data: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    /// Name of the function
    pub(crate) name: String,
    /// Keep printing new lines until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How far to look back: 30s, 10m, 2h or 7d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) since: Option<Duration>,
    /// At most so many of the newest lines
    #[arg(long, value_name = "LINES", default_value_t = 1000)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CostOptions {
    /// What each row stands for
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = CostGrouping::Function)]
    pub(crate) by: CostGrouping,
    /// First day (UTC), for example 2026-11-01 [default: the first day of the month of the last day]
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// Last day (UTC) [default: today]
    #[arg(long, value_name = "DAY")]
    pub(crate) to: Option<String>,
    /// Print comma-separated values for spreadsheets
    #[arg(long)]
    pub(crate) csv: bool,
}

/// What the rows of a bill stand for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CostGrouping {
    /// A function
    Function,
    /// A day
    Day,
}

#[derive(Debug, Args)]
pub(crate) struct RmOptions {
    /// Name of the function; `name:version` removes that version only
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct LayerOptions {
    #[command(subcommand)]
    pub(crate) action: LayerAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LayerAction {
    /// Publish a new version of a layer from a directory or a .zip, whose contents functions find in /opt
    Publish {
        /// Name of the layer
        name: String,
        /// Directory or .zip file
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// Runtime that it is made for; may be given several times
        #[arg(long = "runtime", value_name = "RUNTIME")]
        runtimes: Vec<String>,
        /// What it is
        #[arg(long)]
        description: Option<String>,
    },
    /// List the layers, or the versions of one
    Ls {
        /// Name of the layer
        name: Option<String>,
    },
    /// Remove a version of a layer; functions that use it keep it
    Rm {
        /// Name of the layer
        name: String,
        /// Number of the version
        #[arg(value_name = "VERSION")]
        number: u64,
    },
    /// Store a layer of another account or region, so that functions can name it by the ARN that it has there
    Import {
        /// The layer's .zip file, as it was downloaded
        file: PathBuf,
        /// ARN of the layer version, with its number
        #[arg(long)]
        arn: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersOptions {
    #[command(subcommand)]
    pub(crate) action: DeadLettersAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersAction {
    /// List events that were given up, oldest first
    Ls {
        /// Name of the function that they were for [default: all]
        name: Option<String>,
    },
    /// Show one with its payload
    Show {
        /// Its id
        id: u64,
    },
    /// Run them again, as if they had just been sent
    Redrive {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
    },
    /// Forget them
    Rm {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyOptions {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

#[derive(Debug, Args)]
pub(crate) struct AccountOptions {
    #[command(subcommand)]
    pub(crate) action: AccountAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountAction {
    /// Make an account and its first access key; the secret is shown only now
    Create {
        /// Twelve digits [default: random]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// What people call it
        #[arg(long, default_value = "")]
        name: String,
    },
    /// List the accounts
    Ls,
}

#[derive(Debug, Args)]
pub(crate) struct AuditOptions {
    /// How far to look back: 30s, 10m, 2h or 7d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) since: Option<Duration>,
    /// Most entries; the newest are shown
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make an access key; its secret is shown only now
    Create {
        /// What the key may do
        #[arg(long, value_enum, default_value_t = KeyRole::Deployer)]
        role: KeyRole,
        /// Functions that it may touch, as a pattern with * and ?
        #[arg(long, value_name = "PATTERN", default_value = "*")]
        functions: String,
    },
    /// List the access keys, without their secrets
    Ls,
    /// Delete an access key
    Rm {
        /// Id of the key
        id: String,
    },
}

/// What an access key may do; each role includes the ones below it.
#[derive(Clone, Copy, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyRole {
    /// Everything, keys included
    Admin,
    /// Create, change and remove functions
    Deployer,
    /// Call functions
    Invoker,
    /// Look
    Viewer,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// A number and its unit: `s`, `m`, `h` or `d`.
fn parse_age(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and a unit: 30s, 10m, 2h or 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let seconds_per_unit: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let digits = text.strip_suffix(unit).ok_or_else(expected)?;
    let number: Option<u64> = digits.parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(seconds_per_unit));
    seconds.map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Variable, parse_age};
    use clap::CommandFactory as _;
    use std::time::Duration;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        assert_eq!(parse_age("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_age("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_age("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "10", "m", "-1s", "1.5h", "10é", "5ss", "99999999999999999d"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_keeps_every_equals_sign_after_the_first() {
        let variable: Variable = "A=b=c".parse().unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_str()), ("A", "b=c"));
        "=b".parse::<Variable>().unwrap_err();
        "A".parse::<Variable>().unwrap_err();
    }
}
