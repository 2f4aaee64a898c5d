//! The seams to the sandbox: the one place that names its constructors.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use wuwei_sandbox::InstanceFactory;

use crate::config::{Environment, Settings};
use crate::failure::{Exit, Failure};

/// A sandbox that is ready to start instances.
pub(crate) struct ComposedSandbox {
    /// Starts instances.
    pub(crate) factory: Arc<dyn InstanceFactory>,
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

/// How well this host offers something that sandboxes need.
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

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
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

/// Starts the sandbox's processes and says what it can run.
///
/// The failure is [`Exit::NoSandbox`] when the host lacks what `settings.sandbox` asks for.
pub(crate) fn compose_sandbox(_settings: &Settings, _environment: &Environment) -> Result<ComposedSandbox, Failure> {
    Err(not_linked())
}

/// The body of the hidden `__launcher` command: this process becomes the launcher and ends with it.
pub(crate) fn run_launcher(_arguments: &[OsString]) -> Result<Exit, Failure> {
    Err(not_linked())
}

/// What this host offers to sandboxes.
pub(crate) fn examine_host() -> Result<Vec<Finding>, Failure> {
    Err(not_linked())
}

fn not_linked() -> Failure {
    Failure::new(Exit::NoSandbox, "sandbox not linked")
}
