//! Which language runtimes the host has: real interpreters, found by looking and asked who they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wuwei_model::{Runtime, RuntimeFamily};

mod probe;
#[cfg(test)]
mod tests;

/// Minor versions of Python 3 that AWS has offered and the bootstrap supports.
const PYTHON_MINORS: std::ops::RangeInclusive<u32> = 8..=14;
/// Major versions of Node.js that AWS has identifiers for and the bootstrap supports.
const NODE_MAJORS: [u32; 3] = [20, 22, 24];
/// Names of Node.js: its own, and Debian's old one.
const NODE_NAMES: [&str; 2] = ["node", "nodejs"];
/// Always searched first, in this order: what the distribution and the administrator installed.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// Identifiers that need nothing of the host: the package brings its own executable.
const PROVIDED: [&str; 3] = ["provided", "provided.al2", "provided.al2023"];

/// Where to look for interpreters, beside `/usr/bin` and `/usr/local/bin`.
#[derive(Clone, Debug, Default)]
pub struct SearchPaths {
    /// The directories of `PATH`, in its order.
    pub directories: Vec<PathBuf>,
    /// `$PYENV_ROOT` (`~/.pyenv`): its `versions/*/bin` are searched.
    pub pyenv_root: Option<PathBuf>,
    /// Where uv keeps its interpreters (`~/.local/share/uv/python`): its `*/bin` are searched.
    pub uv_python_dir: Option<PathBuf>,
    /// Where version managers keep Node.js (`$NVM_DIR/versions/node`, fnm's `node-versions`, Volta's
    /// `tools/image/node`): their `*/bin` and `*/installation/bin` are searched.
    pub node_roots: Vec<PathBuf>,
}

/// A CPython that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonInterpreter {
    /// For example `python3.11`.
    pub identifier: Runtime,
    /// The ELF executable, no symbolic link in its path.
    pub executable: PathBuf,
    /// `sys.base_prefix`: the directory that must be visible to run it.
    pub prefix: PathBuf,
    /// For example `3.11.7`.
    pub version: String,
    /// Directory of the standard library's Python files.
    pub standard_library: PathBuf,
    /// The tag of Debian's library directories (`x86_64-linux-gnu`), where the interpreter knows one.
    pub multiarch: Option<String>,
}

/// A Node.js that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInterpreter {
    /// For example `nodejs22.x`.
    pub identifier: Runtime,
    /// The ELF executable, no symbolic link in its path.
    pub executable: PathBuf,
    /// For example `22.11.0`.
    pub version: String,
    /// The shared libraries that it has loaded.
    pub libraries: Vec<PathBuf>,
}

/// How the host runs a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferedRuntime {
    /// With this interpreter.
    Python(PythonInterpreter),
    /// With this interpreter.
    Node(NodeInterpreter),
    /// With the package's own `bootstrap`.
    Provided(Runtime),
}

impl OfferedRuntime {
    /// The identifier that functions name.
    #[must_use]
    pub fn identifier(&self) -> &Runtime {
        match self {
            Self::Python(interpreter) => &interpreter.identifier,
            Self::Node(interpreter) => &interpreter.identifier,
            Self::Provided(identifier) => identifier,
        }
    }
}

/// The runtimes of this host.
#[derive(Clone, Debug)]
pub struct Runtimes {
    offered: Vec<OfferedRuntime>,
}

impl Runtimes {
    /// Looks for interpreters and runs each that it finds, for at most two seconds, to learn its version. Blocks.
    ///
    /// Of several that have the same identifier the first wins: `/usr/bin`, `/usr/local/bin`, `PATH`, then the newest of
    /// pyenv's, of uv's, and of those of Node.js's version managers.
    #[must_use]
    pub fn discover(paths: &SearchPaths) -> Self {
        let system = SYSTEM_DIRECTORIES.map(PathBuf::from);
        let directories: Vec<PathBuf> = system.into_iter().chain(paths.directories.iter().cloned()).collect();
        Self::discover_in(&directories, paths)
    }

    fn discover_in(directories: &[PathBuf], paths: &SearchPaths) -> Self {
        let pyenv = paths.pyenv_root.iter().flat_map(|root| installations(&root.join("versions"), "bin"));
        let uv = paths.uv_python_dir.iter().flat_map(|root| installations(root, "bin"));
        let python_names: Vec<String> = PYTHON_MINORS.map(|minor| format!("python3.{minor}")).collect();
        let pythons = executables(directories.iter().cloned().chain(pyenv).chain(uv), &python_names);
        let managed = paths
            .node_roots
            .iter()
            .flat_map(|root| installations(root, "bin").into_iter().chain(installations(root, "installation/bin")));
        let nodes = executables(directories.iter().cloned().chain(managed), &NODE_NAMES.map(str::to_owned));

        let (pythons, nodes) = probe::ask_all(&pythons, &nodes);
        let mut by_minor = BTreeMap::new();
        for (minor, interpreter) in pythons {
            if PYTHON_MINORS.contains(&minor) {
                by_minor.entry(minor).or_insert(interpreter);
            }
        }
        let mut by_major = BTreeMap::new();
        for (major, interpreter) in nodes {
            if NODE_MAJORS.contains(&major) {
                by_major.entry(major).or_insert(interpreter);
            }
        }
        let provided = PROVIDED.map(|identifier| OfferedRuntime::Provided(Runtime::new(identifier)));
        let interpreters = by_minor.into_values().map(OfferedRuntime::Python);
        let interpreters = interpreters.chain(by_major.into_values().map(OfferedRuntime::Node));
        Self { offered: interpreters.chain(provided).collect() }
    }

    /// All of them: interpreters by version, then the custom runtimes.
    #[must_use]
    pub fn list(&self) -> &[OfferedRuntime] {
        &self.offered
    }

    /// How to run a runtime, or `None` when this host cannot.
    #[must_use]
    pub fn get(&self, runtime: &Runtime) -> Option<&OfferedRuntime> {
        match runtime.family() {
            RuntimeFamily::Python | RuntimeFamily::NodeJs | RuntimeFamily::Provided => {
                self.offered.iter().find(|offered| offered.identifier() == runtime)
            }
            RuntimeFamily::Other => None,
        }
    }

    /// Leaves out interpreters that only their owner can reach (below a 0700 home): without a root of its own, a sandbox
    /// runs as another user on the host's own paths.
    #[must_use]
    pub fn reachable_by_others(mut self) -> Self {
        self.offered.retain(|offered| match offered {
            OfferedRuntime::Python(interpreter) => others_may_pass(&interpreter.executable),
            OfferedRuntime::Node(interpreter) => {
                std::iter::once(&interpreter.executable).chain(&interpreter.libraries).all(|file| others_may_pass(file))
            }
            OfferedRuntime::Provided(_) => true,
        });
        self
    }

    /// The identifiers, comma-separated: what an error about an unknown runtime says.
    #[must_use]
    pub fn found(&self) -> String {
        let identifiers: Vec<&str> = self.offered.iter().map(|offered| offered.identifier().as_str()).collect();
        identifiers.join(", ")
    }
}

/// Whether every directory on the way to a file lets everybody through.
fn others_may_pass(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .all(|directory| std::fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}

/// The directories of programs of the installations that lie side by side in `root`, newest version first.
fn installations(root: &Path, programs: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort_by_key(|name| std::cmp::Reverse((numbers_of(name), name.clone())));
    names.into_iter().map(|name| root.join(name).join(programs)).collect()
}

/// The numbers in a name, so that `3.11.10` sorts after `3.11.9`.
fn numbers_of(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The programs of these names in some directories, symbolic links resolved, each once.
fn executables(directories: impl Iterator<Item = PathBuf>, names: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // A relative entry of PATH would name another file in the sandbox's launcher.
    for directory in directories.filter(|directory| directory.is_absolute()) {
        let resolved = names.iter().filter_map(|name| directory.join(name).canonicalize().ok());
        for executable in resolved.filter(|path| is_elf(path)) {
            if !found.contains(&executable) {
                found.push(executable);
            }
        }
    }
    found
}

/// Whether a file is a program of the kernel's own format: version managers' shims are scripts.
fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}
