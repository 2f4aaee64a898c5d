//! How each runtime is started, and what its sandbox must show and serve.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::discovery::{OfferedRuntime, PythonInterpreter, Runtimes};
use crate::instance::{Instance, InstanceSpec, LaunchError};
use crate::managed::ManagedInstance;
use crate::process::SandboxedProcess;
use crate::provided::CustomInstance;

pub(crate) mod node;
pub(crate) mod race;
#[cfg(test)]
pub(crate) mod test_process;
#[cfg(test)]
mod tests;

/// Where the bootstraps are inside a sandbox.
const RUNTIME_DIR: &str = "/var/runtime";
/// `PATH` of a sandbox, before what the interpreter adds.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The bootstrap of the Python runtimes.
pub(crate) const PYTHON_BOOTSTRAP: RuntimeFile =
    RuntimeFile { name: "bootstrap.py", contents: include_str!("../../../runtimes/python/bootstrap.py") };

/// A file that the sandbox shows read-only in `/var/runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeFile {
    /// Path below `/var/runtime`.
    pub(crate) name: &'static str,
    /// Contents, the same for every instance.
    pub(crate) contents: &'static str,
}

/// What the launcher builds a sandbox from. The working directory is `/var/task`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeLayout {
    /// Program to execute, as seen inside the sandbox.
    pub(crate) executable: PathBuf,
    /// Its arguments, without the program's own name.
    pub(crate) arguments: Vec<OsString>,
    /// Host directories shown read-only at the same path, beside the base system (`/usr`, the dynamic loader).
    pub(crate) visible_paths: Vec<PathBuf>,
    /// Whether a listener for the Runtime API belongs into the sandbox, and `AWS_LAMBDA_RUNTIME_API` into its
    /// environment.
    pub(crate) needs_runtime_api: bool,
    /// `PATH`, where the function sets none.
    pub(crate) path_env: OsString,
}

impl Runtimes {
    /// How to start an instance.
    ///
    /// # Errors
    /// [`LaunchError::UnknownRuntime`]; [`LaunchError::NoBootstrap`] for a custom runtime without its executable.
    pub(crate) fn layout(&self, spec: &InstanceSpec) -> Result<RuntimeLayout, LaunchError> {
        let runtime = &spec.runtime;
        match self.get(runtime) {
            Some(OfferedRuntime::Python(interpreter)) => Ok(python_layout(interpreter)),
            Some(OfferedRuntime::Node(interpreter)) => Ok(node::layout(interpreter, spec)),
            Some(OfferedRuntime::Provided(_)) if has_bootstrap(&spec.code_dir) => Ok(provided_layout()),
            Some(OfferedRuntime::Provided(_)) => Err(LaunchError::NoBootstrap),
            None => Err(LaunchError::UnknownRuntime { runtime: runtime.to_string(), found: self.found() }),
        }
    }
}

/// Every file of `/var/runtime`.
pub(crate) fn runtime_files() -> impl Iterator<Item = &'static RuntimeFile> {
    [PYTHON_BOOTSTRAP].iter().chain(&node::FILES)
}

/// Makes an instance of a process that was started by a layout: over the Runtime API when it has a listener for that,
/// over the control socket otherwise.
pub(crate) fn instance_of(mut process: SandboxedProcess) -> Box<dyn Instance> {
    match process.runtime_api.take() {
        Some(listener) => Box::new(CustomInstance::new(process, listener)),
        None => Box::new(ManagedInstance::new(process)),
    }
}

/// The interpreter's arguments: no packages of the host's (`-S`) or of its users (`-s`).
///
/// The function's own `PYTHON…` variables count, as on AWS. The host's cannot come in: the environment is built from the
/// function's configuration alone.
pub(crate) fn python_arguments(bootstrap: &Path) -> Vec<OsString> {
    let options = ["-s", "-S"].into_iter().map(OsString::from);
    options.chain([bootstrap.into()]).collect()
}

fn python_layout(interpreter: &PythonInterpreter) -> RuntimeLayout {
    let directory = interpreter.executable.parent().unwrap_or_else(|| Path::new("/"));
    let mut visible_paths = vec![interpreter.prefix.clone()];
    for path in [directory, &interpreter.standard_library] {
        if !visible_paths.iter().any(|visible| path.starts_with(visible)) {
            visible_paths.push(path.to_owned());
        }
    }
    RuntimeLayout {
        executable: interpreter.executable.clone(),
        arguments: python_arguments(&Path::new(RUNTIME_DIR).join(PYTHON_BOOTSTRAP.name)),
        visible_paths,
        needs_runtime_api: false,
        path_env: path_with(directory),
    }
}

/// `PATH` with an interpreter's directory in it.
fn path_with(directory: &Path) -> OsString {
    let mut path = OsString::new();
    if !SYSTEM_PATH.split(':').any(|system| directory == Path::new(system)) {
        path.push(directory);
        path.push(":");
    }
    path.push(SYSTEM_PATH);
    path
}

fn provided_layout() -> RuntimeLayout {
    RuntimeLayout {
        executable: "/var/task/bootstrap".into(),
        arguments: Vec::new(),
        visible_paths: Vec::new(),
        needs_runtime_api: true,
        path_env: SYSTEM_PATH.into(),
    }
}

/// Whether the package has an executable `bootstrap`. A link is not followed: its target would be the host's.
fn has_bootstrap(code_dir: &Path) -> bool {
    let metadata = std::fs::symlink_metadata(code_dir.join("bootstrap"));
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
