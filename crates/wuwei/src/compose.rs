//! The seams to the sandbox: the one place that names its constructors.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use wuwei_model::EgressPolicy;
use wuwei_sandbox::doctor::{Finding, Status};
use wuwei_sandbox::{
    Appointment, EgressOptions, HelperCommands, OfferedRuntime, Runtimes, Sandbox, SandboxOptions, SearchPaths,
    StartSandboxError, Steward, StockOptions,
};

use crate::arguments::{HelperOptions, SandboxMode};
use crate::config::{Environment, Settings};
use crate::failure::{Exit, Failure};

/// Hidden command under which the binary becomes a launcher.
pub(crate) const LAUNCHER_COMMAND: &str = "__launcher";
/// Hidden command under which the binary becomes a filler.
const FILLER_COMMAND: &str = "__filler";
/// Hidden command under which the binary becomes a steward.
pub(crate) const STEWARD_COMMAND: &str = "__steward";
/// Hidden command under which the binary becomes a keeper.
const KEEPER_COMMAND: &str = "__keeper";

/// A sandbox that is ready to start instances.
pub(crate) struct ComposedSandbox {
    /// Starts instances, and is shut down last.
    pub(crate) sandbox: Arc<Sandbox>,
    /// What it can run.
    pub(crate) runtimes: Vec<HostRuntime>,
}

/// A runtime that this host offers.
#[derive(Clone, Debug)]
pub(crate) struct HostRuntime {
    /// AWS's spelling, for example `python3.11`.
    pub(crate) identifier: String,
    /// Interpreter on this host; `None` where the package brings its own executable.
    pub(crate) path: Option<PathBuf>,
    /// Exact version of the interpreter.
    pub(crate) version: Option<String>,
}

/// How well this host offers something, as `doctor --json` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FindingStatus {
    /// There.
    Good,
    /// There in part, or not there and not essential.
    Degraded,
    /// Essential, and not there.
    Missing,
}

impl From<Status> for FindingStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Good => Self::Good,
            Status::Degraded => Self::Degraded,
            Status::Missing => Self::Missing,
        }
    }
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostFinding {
    /// For example `user namespaces`.
    pub(crate) name: String,
    /// How well this host offers it.
    pub(crate) status: FindingStatus,
    /// What was found.
    pub(crate) found: String,
    /// What its absence costs; empty when it is there.
    pub(crate) costs: String,
    /// What to do about it; empty when there is nothing to do.
    pub(crate) fix: String,
}

impl From<Finding> for HostFinding {
    fn from(finding: Finding) -> Self {
        Self {
            name: finding.name.to_owned(),
            status: finding.status.into(),
            found: finding.found,
            costs: finding.costs.unwrap_or_default(),
            fix: finding.fix.unwrap_or_default(),
        }
    }
}

/// Starts the sandbox's processes and says what it can run.
///
/// The failure is [`Exit::NoSandbox`] when the host lacks what `settings.sandbox` asks for.
pub(crate) async fn compose_sandbox(
    settings: &Settings,
    found: Runtimes,
    steward: Option<Steward>,
) -> Result<ComposedSandbox, Failure> {
    let was_root = steward.is_some();
    let (mode, found) = match settings.sandbox {
        SandboxMode::Full => (wuwei_sandbox::SandboxMode::Full, found),
        SandboxMode::Reduced if was_root => (wuwei_sandbox::SandboxMode::Reduced, found.reachable_by_others()),
        SandboxMode::Reduced => (wuwei_sandbox::SandboxMode::Reduced, found),
    };
    let runtimes = found.list().iter().map(describe).collect();
    let sandbox = {
        let mut options = options(settings.data_dir.clone(), mode, found, settings.egress.clone());
        options.steward = steward;
        options.stock.blanks_max = settings.stock;
        options.stock.memory_mb = settings.stock_memory_mb;
        Sandbox::start(options).await.map_err(no_sandbox)?
    };
    if settings.sandbox == SandboxMode::Reduced {
        tracing::warn!("reduced sandbox: functions see this machine's files and network");
        if !was_root {
            tracing::warn!(
                "reduced sandbox as an ordinary user: functions run as your user and can read the server's keys"
            );
        }
    } else {
        if let Some(lack) = sandbox.egress_lack() {
            tracing::warn!(lack, "functions have no network, whatever their policy says: see `wuwei doctor`");
        }
        if let Some(lack) = sandbox.temporary_lack() {
            tracing::warn!(lack, "`/tmp` of functions is in memory and counts as theirs: see `wuwei doctor`");
        }
    }
    Ok(ComposedSandbox { sandbox: Arc::new(sandbox), runtimes })
}

/// The body of the hidden `__steward` command: this process becomes the steward and ends with it.
pub(crate) fn run_steward() -> Result<Exit, Failure> {
    crate::up::start_telemetry(None)?;
    let commands = HelperCommands { launcher: LAUNCHER_COMMAND, filler: FILLER_COMMAND, keeper: KEEPER_COMMAND };
    wuwei_sandbox::run_steward(commands).map_err(|error| Failure::local("cannot run the steward").because(error))?;
    Ok(Exit::Done)
}

/// The body of the hidden `__launcher` command: this process becomes the launcher and ends with it.
pub(crate) fn run_launcher(options: &HelperOptions) -> Result<Exit, Failure> {
    crate::up::start_telemetry(None)?;
    let ran = match appointment_of(options) {
        Some(appointment) => wuwei_sandbox::run_launcher_for(&appointment),
        None => wuwei_sandbox::run_launcher(),
    };
    ran.map_err(|error| Failure::local("cannot run the sandbox launcher").because(error))?;
    Ok(Exit::Done)
}

/// The body of the hidden `__filler` command: this process becomes the filler and ends with it.
pub(crate) fn run_filler(options: &HelperOptions) -> Result<Exit, Failure> {
    crate::up::start_telemetry(None)?;
    wuwei_sandbox::run_filler(appointment_of(options).as_ref())
        .map_err(|error| Failure::local("cannot make networks of functions").because(error))?;
    Ok(Exit::Done)
}

fn appointment_of(options: &HelperOptions) -> Option<Appointment> {
    let (server, first_user) = options.server.clone().zip(options.first_user)?;
    Some(Appointment { server, first_user })
}

/// The body of the hidden `__keeper` command: this process becomes the keeper and ends with it.
pub(crate) fn run_keeper() -> Result<Exit, Failure> {
    crate::up::start_telemetry(None)?;
    wuwei_sandbox::run_keeper().map_err(|error| Failure::local("cannot make `/tmp` of functions").because(error))?;
    Ok(Exit::Done)
}

/// What this host offers to sandboxes.
pub(crate) async fn examine_host(environment: &Environment) -> Result<Vec<HostFinding>, Failure> {
    let looked_at = environment.clone();
    let runtimes = tokio::task::spawn_blocking(move || discover(&looked_at)).await;
    let runtimes = runtimes.map_err(|error| Failure::local("cannot look for language runtimes").because(error))?;
    let scratch = tempfile::Builder::new()
        .prefix("wuwei-doctor-")
        .tempdir()
        .map_err(|error| Failure::local("cannot make a directory for the examination").because(error))?;
    let options =
        options(scratch.path().to_owned(), wuwei_sandbox::SandboxMode::Full, runtimes, EgressPolicy::Internet);
    let findings = wuwei_sandbox::doctor::examine(options).await;
    Ok(findings.into_iter().map(HostFinding::from).collect())
}

fn options(
    data_dir: PathBuf,
    mode: wuwei_sandbox::SandboxMode,
    runtimes: Runtimes,
    egress: EgressPolicy,
) -> SandboxOptions {
    SandboxOptions {
        data_dir,
        mode,
        // This very program, also when its file was replaced by a newer version since it started.
        launcher_program: PathBuf::from("/proc/self/exe"),
        launcher_arguments: vec![LAUNCHER_COMMAND.to_owned()],
        steward: None,
        runtimes,
        egress: EgressOptions { filler_arguments: Some(vec![FILLER_COMMAND.to_owned()]), default: egress },
        stock: StockOptions::default(),
        keeper_arguments: Some(vec![KEEPER_COMMAND.to_owned()]),
    }
}

/// Looks for interpreters; asks each for its version, so it must be kept off the event loop.
pub(crate) fn discover(environment: &Environment) -> Runtimes {
    let mut directories = vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")];
    directories.extend(environment.path.iter().filter(|path| path.is_absolute()).cloned());
    let home = environment.home.as_ref();
    let paths = SearchPaths {
        directories,
        pyenv_root: environment.pyenv_root.clone().or_else(|| home.map(|home| home.join(".pyenv"))),
        uv_python_dir: home.map(|home| home.join(".local/share/uv/python")),
        node_roots: node_roots(environment),
    };
    Runtimes::discover(&paths)
}

/// Where nvm, fnm and Volta keep their installations.
fn node_roots(environment: &Environment) -> Vec<PathBuf> {
    let below_home = |path: &str| environment.home.as_ref().map(|home| home.join(path));
    let nvm = environment.nvm_dir.clone().or_else(|| below_home(".nvm")).map(|root| root.join("versions/node"));
    let fnm =
        environment.fnm_dir.clone().or_else(|| below_home(".local/share/fnm")).map(|root| root.join("node-versions"));
    let volta =
        environment.volta_home.clone().or_else(|| below_home(".volta")).map(|root| root.join("tools/image/node"));
    [nvm, fnm, volta].into_iter().flatten().collect()
}

fn describe(runtime: &OfferedRuntime) -> HostRuntime {
    let identifier = runtime.identifier().as_str().to_owned();
    match runtime {
        OfferedRuntime::Python(interpreter) => HostRuntime {
            identifier,
            path: Some(interpreter.executable.clone()),
            version: Some(interpreter.version.clone()),
        },
        OfferedRuntime::Node(interpreter) => HostRuntime {
            identifier,
            path: Some(interpreter.executable.clone()),
            version: Some(interpreter.version.clone()),
        },
        OfferedRuntime::Provided(_) => HostRuntime { identifier, path: None, version: None },
    }
}

fn no_sandbox(error: StartSandboxError) -> Failure {
    match error {
        StartSandboxError::Unavailable(_) => Failure::new(Exit::NoSandbox, "cannot start the sandbox").because(error).hint(
            "`wuwei doctor` says what is missing; --sandbox=reduced runs functions without isolation from this machine",
        ),
        StartSandboxError::Launcher(_) => Failure::local("cannot start the sandbox").because(error),
    }
}
