//! Installs the dependencies that a package.json names, for the package only: the function's directory stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::tree::{Content, Tree};
use crate::failure::Failure;

const MANIFEST: &str = "package.json";
const DIRECTORY: &str = "node_modules";
/// Files beside the manifest that say which versions, in the order in which npm prefers them.
const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// Settings of npm for one project.
const SETTINGS: &str = ".npmrc";

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: Map<String, Value>,
    #[serde(default, rename = "optionalDependencies")]
    optional_dependencies: Map<String, Value>,
}

/// A function with its dependencies.
pub(super) struct Installed {
    /// All files.
    pub(super) tree: Tree,
    /// Where those that npm installed lie, until this is dropped.
    _staging: Option<TempDir>,
}

/// The tree of a function with its dependencies, installed by npm without those for development. Where npm is missing,
/// what is installed beside the code has to do.
pub(super) fn install(
    interpreter: &Path,
    directory: &Path,
    tree: Tree,
    remark: &dyn Fn(&str),
) -> Result<Installed, Failure> {
    let Some(manifest) = read_manifest(directory)? else { return Ok(Installed { tree, _staging: None }) };
    let npm = npm_of(interpreter);
    if command(&npm).arg("--version").stderr(Stdio::null()).status().is_err() {
        if directory.join(DIRECTORY).is_dir() {
            remark("npm is not here: node_modules is packaged as it is");
            return Ok(Installed { tree, _staging: None });
        }
        let shown = directory.join(MANIFEST);
        return Err(Failure::local(format!(
            "cannot install the dependencies of `{}`: there is no npm",
            shown.display()
        ))
        .hint("sudo apt-get install npm"));
    }
    let tree = tree.without(DIRECTORY);
    let failed = |error: io::Error| {
        Failure::local(format!("cannot prepare the dependencies of `{}`", directory.display())).because(error)
    };
    let staging = stage(directory, &tree, &manifest).map_err(failed)?;
    let lock = LOCKS.into_iter().find(|lock| staging.path().join(lock).is_file());
    remark(&format!("installing {}", lock.unwrap_or(MANIFEST)));
    run_npm(&npm, lock.is_some(), staging.path(), directory)?;
    // npm's settings may hold a key to a registry, which is not for the function.
    let tree = Tree::of_directory(staging.path())?.overlaid_with(tree).without(SETTINGS);
    Ok(Installed { tree, _staging: Some(staging) })
}

/// The text of the manifest, when it names dependencies.
fn read_manifest(directory: &Path) -> Result<Option<String>, Failure> {
    let path = directory.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::local(format!("cannot read `{}`", path.display())).because(error)),
    };
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("cannot read `{}`", path.display())).because(error))?;
    let has_any = !manifest.dependencies.is_empty() || !manifest.optional_dependencies.is_empty();
    Ok(has_any.then_some(text))
}

/// A directory where npm may work: with its own files, or with all, and beside the function, when dependencies are named
/// by relative paths.
fn stage(directory: &Path, tree: &Tree, manifest: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wuwei-deploy-");
    if !manifest.contains("\"file:") {
        let staging = builder.tempdir()?;
        let own = LOCKS.into_iter().chain([MANIFEST, SETTINGS]);
        for name in own.filter(|name| directory.join(name).is_file()) {
            fs::copy(directory.join(name), staging.path().join(name))?;
        }
        return Ok(staging);
    }
    let full = directory.canonicalize()?;
    let beside = full.parent().map(|parent| builder.tempdir_in(parent));
    let staging = match beside {
        Some(Ok(staging)) => staging,
        Some(Err(_)) | None => builder.tempdir()?,
    };
    for (name, entry) in tree.iter() {
        let path = staging.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or_else(|| staging.path()))?;
        match &entry.content {
            Content::File(source) => drop(fs::copy(source, path)?),
            Content::Link(target) => std::os::unix::fs::symlink(target, path)?,
            Content::Bytes(bytes) => fs::write(path, bytes)?,
        }
    }
    Ok(staging)
}

/// The npm that came with an interpreter, else the one in the search path.
fn npm_of(interpreter: &Path) -> PathBuf {
    let beside = interpreter.parent().map(|directory| directory.join("npm")).filter(|npm| npm.is_file());
    beside.unwrap_or_else(|| PathBuf::from("npm"))
}

fn run_npm(npm: &Path, is_locked: bool, staging: &Path, directory: &Path) -> Result<(), Failure> {
    let mut command = command(npm);
    command.arg(if is_locked { "ci" } else { "install" });
    // Links to packages elsewhere on this machine would lead out of the package: they are copied.
    command.args([
        "--omit=dev",
        "--install-links",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ]);
    if !is_locked {
        command.arg("--no-package-lock");
    }
    let shown = directory.join(MANIFEST);
    let shown = shown.display();
    let status = command
        .current_dir(staging)
        .status()
        .map_err(|error| Failure::local(format!("cannot start the npm of `{shown}`")).because(error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::local(format!("cannot install the dependencies of `{shown}`: npm ended with {status}"))
        .hint("npm's own message stands above"))
}

#[expect(clippy::disallowed_methods, reason = "npm installs dependencies, as pip does: nothing else can")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use super::super::tests::one_program_at_a_time;
    use super::super::tree::{Entry, Tree};
    use super::install;
    use crate::failure::Exit;

    /// An interpreter whose npm is a shell script.
    fn interpreter(directory: &Path, script: &str) -> PathBuf {
        let npm = directory.join("bin/npm");
        fs::create_dir_all(npm.parent().unwrap()).unwrap();
        fs::write(&npm, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        directory.join("bin/node")
    }

    fn function(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    /// Pretends to install one package, and notes how it was called.
    const NPM: &str = r#"[ "$1" = --version ] && exit 0
mkdir -p node_modules/left && echo fresh > node_modules/left/index.js && echo "$@" > node_modules/said"#;

    #[test]
    fn a_lock_file_decides_how_npm_installs_and_old_installations_stay_out() {
        let _turn = one_program_at_a_time();
        let tools = tempfile::tempdir().unwrap();
        let node = interpreter(tools.path(), NPM);
        for (lock, expected) in [(None, "install --omit=dev"), (Some("package-lock.json"), "ci --omit=dev")] {
            let function = function(&[
                ("package.json", r#"{"dependencies": {"left": "1"}}"#),
                ("index.js", "code"),
                ("node_modules/old/index.js", "old"),
                (".npmrc", "key=secret"),
                (lock.unwrap_or("other.json"), "{}"),
            ]);
            let tree = Tree::of_directory(function.path()).unwrap();
            let installed = install(&node, function.path(), tree, &|_| {}).unwrap();
            let text = |name: &str| installed.tree.get(name).and_then(Entry::text);
            assert!(text("node_modules/said").unwrap().starts_with(expected), "{lock:?}");
            assert_eq!(text("node_modules/left/index.js").as_deref(), Some("fresh\n"));
            assert_eq!((text("index.js").as_deref(), text("node_modules/old/index.js")), (Some("code"), None));
            assert_eq!(text(".npmrc"), None);
        }
    }

    #[test]
    fn without_dependencies_npm_is_not_called() {
        let _turn = one_program_at_a_time();
        let tools = tempfile::tempdir().unwrap();
        let node = interpreter(tools.path(), "exit 1");
        for manifest in ["{}", r#"{"devDependencies": {"left": "1"}}"#] {
            let function = function(&[("package.json", manifest), ("node_modules/own/index.js", "own")]);
            let tree = Tree::of_directory(function.path()).unwrap();
            let installed = install(&node, function.path(), tree, &|_| {}).unwrap();
            assert!(installed.tree.get("node_modules/own/index.js").is_some(), "{manifest}");
        }
    }

    #[test]
    fn a_failing_npm_and_a_broken_manifest_are_failures() {
        let _turn = one_program_at_a_time();
        let tools = tempfile::tempdir().unwrap();
        let node = interpreter(tools.path(), r#"[ "$1" = --version ] && exit 0; exit 1"#);
        let failure_of = |manifest: &str| {
            let function = function(&[("package.json", manifest)]);
            install(&node, function.path(), Tree::default(), &|_| {}).err().unwrap()
        };
        let failure = failure_of(r#"{"dependencies": {"left": "1"}}"#);
        assert_eq!((failure.exit(), failure.text().contains("npm ended with")), (Exit::Local, true));
        assert_eq!(failure_of("{").exit(), Exit::Usage);
    }
}
