use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::runtimes::OfferedRuntime;
use crate::failure::Failure;

/// The interpreter that runs a runtime here: the server's own when it is on this machine, else the one of that name.
pub(super) fn interpreter(runtime: &str, offered: &[OfferedRuntime]) -> PathBuf {
    let offer = offered.iter().find(|offer| offer.identifier == runtime);
    let path = offer.and_then(|offer| offer.path.as_ref()).map(PathBuf::from);
    path.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(runtime))
}

/// Installs a requirements file into a directory with the pip of an interpreter; pip's complaints go to stderr.
pub(super) fn install(python: &Path, requirements: &Path, target: &Path) -> Result<(), Failure> {
    let pip = find_pip(python, requirements)?;
    let mut command = pip.command(&[
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        // Compiled files hold times: they would make every package another one.
        "--no-compile",
    ]);
    command.arg("--target").arg(target).arg("--requirement").arg(requirements.file_name().unwrap_or_default());
    // Relative paths in a requirements file start where its author stands.
    command.current_dir(requirements.parent().filter(|parent| *parent != "").unwrap_or_else(|| Path::new(".")));
    let status = command
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .status()
        .map_err(|error| Failure::local(format!("cannot start the pip of `{}`", python.display())).because(error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::local(format!("cannot install `{}`: pip ended with {status}", requirements.display()))
        .hint("pip's own message stands above"))
}

/// How pip is called for an interpreter.
struct Pip {
    program: PathBuf,
    leading: Vec<OsString>,
}

impl Pip {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.program);
        command.args(["-m", "pip"]).args(&self.leading).args(arguments);
        command
    }
}

/// The interpreter's own pip; without one, the pip of `python3`, which can install for another interpreter.
fn find_pip(python: &Path, requirements: &Path) -> Result<Pip, Failure> {
    let own = Pip { program: python.to_owned(), leading: Vec::new() };
    let has_own = own.command(&["--version"]).stderr(Stdio::null()).status().map_err(|error| {
        Failure::local(format!("cannot start `{}`", python.display()))
            .because(error)
            .hint("requirements are installed by an interpreter of the function's version: install it here too")
    })?;
    if has_own.success() {
        return Ok(own);
    }
    let leading = [OsStr::new("--python"), python.as_os_str()].map(OsStr::to_owned).to_vec();
    let other = Pip { program: PathBuf::from("python3"), leading };
    if other.command(&["--version"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(other);
    }
    let shown = python.display();
    Err(Failure::local(format!("cannot install `{}`: `{shown}` has no pip", requirements.display()))
        .hint(format!("sudo apt-get install python3-pip, or {shown} -m ensurepip")))
}

#[expect(clippy::disallowed_methods, reason = "pip is the one program that the command line starts")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_program_at_a_time;
    use super::{install, interpreter};
    use crate::commands::runtimes::OfferedRuntime;
    use crate::failure::Exit;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    /// An interpreter that is a shell script.
    fn fake_python(directory: &Path, script: &str) -> PathBuf {
        let path = directory.join("python3.11");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_servers_interpreter_is_used_when_it_is_here() {
        let _turn = one_program_at_a_time();
        let directory = tempfile::tempdir().unwrap();
        let path = fake_python(directory.path(), "exit 0");
        let offer = |path: &str| OfferedRuntime {
            identifier: "python3.11".to_owned(),
            path: Some(path.to_owned()),
            version: None,
        };
        assert_eq!(interpreter("python3.11", &[offer(path.to_str().unwrap())]), path);
        assert_eq!(interpreter("python3.11", &[offer("/nowhere/at/all")]), Path::new("python3.11"));
        assert_eq!(interpreter("python3.11", &[]), Path::new("python3.11"));
    }

    #[test]
    fn pip_runs_beside_the_requirements_and_installs_into_the_target() {
        let _turn = one_program_at_a_time();
        let directory = tempfile::tempdir().unwrap();
        let python =
            fake_python(directory.path(), r#"case "$*" in *--version*) exit 0;; esac; pwd >said; echo "$*" >>said"#);
        let requirements = directory.path().join("requirements.txt");
        install(&python, &requirements, Path::new("/target")).unwrap();
        let said = fs::read_to_string(directory.path().join("said")).unwrap();
        let (place, arguments) = said.split_once('\n').unwrap();
        assert_eq!(Path::new(place), directory.path().canonicalize().unwrap());
        assert!(arguments.contains("--no-compile --target /target --requirement requirements.txt"), "{arguments}");
    }

    #[test]
    fn a_failing_pip_and_a_missing_interpreter_are_local_failures() {
        let _turn = one_program_at_a_time();
        let directory = tempfile::tempdir().unwrap();
        let python = fake_python(directory.path(), r#"case "$*" in *--version*) exit 0;; esac; exit 1"#);
        let requirements = directory.path().join("requirements.txt");
        let failure = install(&python, &requirements, Path::new("/target")).unwrap_err();
        assert_eq!((failure.exit(), failure.text().contains("pip ended with")), (Exit::Local, true));
        let failure = install(Path::new("/nowhere/at/all"), &requirements, Path::new("/target")).unwrap_err();
        assert!(failure.hint_text().unwrap().contains("install it here"));
    }
}
