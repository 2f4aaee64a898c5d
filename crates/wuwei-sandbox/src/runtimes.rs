//! How each runtime is started, and what its sandbox must show and serve.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wuwei_model::Runtime;

use crate::discovery::{OfferedRuntime, PythonInterpreter, Runtimes};
use crate::instance::{Instance, InstanceSpec, LaunchError};
use crate::launcher::{LaunchRequest, ZygoteKind};
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
/// The bootstrap of Python in that directory.
const PYTHON_BOOTSTRAP: &str = "bootstrap.py";
/// `PATH` of a sandbox, before what the interpreter adds.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Last argument of a bootstrap of ours that is to boot without a function, and to wait for its assignment
/// ([`crate::frames::Assignment`]).
pub(crate) const BLANK_ARGUMENT: &str = "--blank";

/// Last argument of Python's bootstrap when it is to fork blanks.
const ZYGOTE_ARGUMENT: &str = "--zygote";

/// A file of the bootstrap of Python.
macro_rules! python_file {
    ($name:literal) => {
        RuntimeFile { name: $name, contents: include_str!(concat!("../../../runtimes/python/", $name)) }
    };
}

/// The bootstrap of the Python runtimes; the first file is the one that is started.
pub(crate) const PYTHON_FILES: [RuntimeFile; 4] =
    [python_file!("bootstrap.py"), python_file!("blank.py"), python_file!("rehearsal.py"), python_file!("zygote.py")];

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
        let layout = self
            .layout_of(runtime, spec.memory_mb, &spec.environment)
            .ok_or_else(|| LaunchError::UnknownRuntime { runtime: runtime.to_string(), found: self.found() })?;
        if !layout.needs_runtime_api || has_bootstrap(&spec.code_dir) {
            return Ok(layout);
        }
        if spec.layers_dir.as_deref().is_some_and(has_bootstrap) {
            return Ok(RuntimeLayout { executable: "/opt/bootstrap".into(), ..layout });
        }
        Err(LaunchError::NoBootstrap)
    }

    /// How to start an instance, whatever its package has in it; `None` for a runtime that is not on this host.
    pub(crate) fn layout_of(
        &self,
        runtime: &Runtime,
        memory_mb: u32,
        environment: &[(String, String)],
    ) -> Option<RuntimeLayout> {
        Some(match self.get(runtime)? {
            OfferedRuntime::Python(interpreter) => python_layout(interpreter),
            OfferedRuntime::Node(interpreter) => node::layout(interpreter, memory_mb, environment),
            OfferedRuntime::Provided(_) => provided_layout(),
        })
    }
}

/// What the runtime of a Python blank can be forked from: the same program and view of files, started as a zygote.
pub(crate) fn zygote_of(blank: &LaunchRequest) -> Option<ZygoteKind> {
    let (last, arguments) = blank.arguments.split_last()?;
    let is_python = arguments.last().is_some_and(|bootstrap| bootstrap.ends_with(PYTHON_BOOTSTRAP));
    (is_python && last == BLANK_ARGUMENT).then(|| ZygoteKind {
        program: blank.program.clone(),
        arguments: arguments.iter().cloned().chain([ZYGOTE_ARGUMENT.to_owned()]).collect(),
        environment: blank.environment.clone(),
        binds: blank.binds.iter().filter(|bind| bind.target != Path::new("/var/task")).cloned().collect(),
    })
}

/// Every file of `/var/runtime`.
pub(crate) fn runtime_files() -> impl Iterator<Item = &'static RuntimeFile> {
    PYTHON_FILES.iter().chain(&node::FILES)
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
        arguments: python_arguments(&Path::new(RUNTIME_DIR).join(PYTHON_BOOTSTRAP)),
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
