//! How Node.js functions are started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{RUNTIME_DIR, RuntimeFile, RuntimeLayout, path_with};
use crate::discovery::NodeInterpreter;

/// A file of the bootstrap.
macro_rules! file {
    ($name:literal) => {
        RuntimeFile {
            name: concat!("nodejs/", $name),
            contents: include_str!(concat!("../../../../runtimes/node/", $name)),
        }
    };
}

/// The bootstrap of the Node.js runtimes; the first file is the one that is started.
pub(crate) const FILES: [RuntimeFile; 10] = [
    file!("bootstrap.cjs"),
    file!("blank.cjs"),
    file!("channel.cjs"),
    file!("console.cjs"),
    file!("context.cjs"),
    file!("errors.cjs"),
    file!("handler.cjs"),
    file!("rehearsal.cjs"),
    file!("modules.mjs"),
    file!("stream.cjs"),
];

/// The interpreter's arguments: the heap in proportion to the memory setting, and long headers, as on AWS.
///
/// Options of the function's own `NODE_OPTIONS` come before the command line, which would win: what it says about the
/// heap is left to it.
pub(crate) fn arguments(bootstrap: &Path, memory_mb: u32, environment: &[(String, String)]) -> Vec<OsString> {
    let own = environment.iter().find(|(name, _)| name == "NODE_OPTIONS").map_or("", |(_, value)| value);
    let own = own.replace('_', "-");
    let options = [
        ("--expose-gc", String::new()),
        ("--max-http-header-size", "=81920".to_owned()),
        ("--max-semi-space-size", format!("={}", (memory_mb * 5 / 100).max(1))),
        ("--max-old-space-size", format!("={}", memory_mb * 9 / 10)),
    ];
    let options = options.into_iter().filter(|(name, _)| !own.contains(name));
    options.map(|(name, value)| OsString::from(format!("{name}{value}"))).chain([bootstrap.into()]).collect()
}

/// What the launcher builds a Node.js sandbox from. Of an interpreter outside of the system only the executable and its
/// libraries are shown: what lies beside it may be somebody's home.
pub(super) fn layout(interpreter: &NodeInterpreter, memory_mb: u32, environment: &[(String, String)]) -> RuntimeLayout {
    let directory = interpreter.executable.parent().unwrap_or_else(|| Path::new("/"));
    let bootstrap = Path::new(RUNTIME_DIR).join("nodejs/bootstrap.cjs");
    let files = std::iter::once(&interpreter.executable).chain(&interpreter.libraries);
    RuntimeLayout {
        executable: interpreter.executable.clone(),
        arguments: arguments(&bootstrap, memory_mb, environment),
        visible_paths: files.filter(|file| !is_in_system(file)).cloned().collect::<Vec<PathBuf>>(),
        needs_runtime_api: false,
        path_env: path_with(directory),
    }
}

/// Whether every sandbox shows this path anyway. `/usr/local` is shown only to those that ask for something in it.
fn is_in_system(path: &Path) -> bool {
    !path.starts_with("/usr/local")
        && ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"].iter().any(|system| path.starts_with(system))
}
