//! Asks interpreters who they are, all at once and with a time limit.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::time::Timespec;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wuwei_model::Runtime;

use super::{NodeInterpreter, PythonInterpreter};

/// An interpreter answers in about 10 ms; a cold disk may need far longer.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// The answer is some 200 bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Writes its JSON by hand and imports nothing that start-up has not: a broken installation should still answer.
const PYTHON_QUESTION: &str = r#"
import os, sys
text = lambda value: '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
print('{"implementation": %s, "minor": %d, "version": %s, "prefix": %s, "standard_library": %s, "multiarch": %s}' % (
    text(sys.implementation.name), sys.version_info[1], text("%d.%d.%d" % sys.version_info[:3]), text(sys.base_prefix),
    text(os.path.dirname(os.__file__)), text(getattr(sys.implementation, "_multiarch", ""))))
"#;

/// The libraries are those that it has loaded: a build with a library of its own may lie anywhere.
const NODE_QUESTION: &str = r#"
process.report.excludeNetwork = true
const { sharedObjects } = process.report.getReport()
console.log(JSON.stringify({ name: process.versions.bun ? "bun" : process.release.name, version: process.versions.node,
    libraries: sharedObjects.filter((path) => path.startsWith("/")) }))
"#;

#[derive(Deserialize)]
struct PythonAnswer {
    implementation: String,
    minor: u32,
    version: String,
    prefix: PathBuf,
    standard_library: PathBuf,
    multiarch: String,
}

#[derive(Deserialize)]
struct NodeAnswer {
    name: String,
    version: String,
    libraries: Vec<PathBuf>,
}

/// Interpreters with the number that tells their versions apart.
pub(super) type Found<T> = Vec<(u32, T)>;

/// The CPythons among `pythons` with their minor versions, and the Node.js among `nodes` with their major ones, each in
/// the order given. All are asked at the same time.
pub(super) fn ask_all(pythons: &[PathBuf], nodes: &[PathBuf]) -> (Found<PythonInterpreter>, Found<NodeInterpreter>) {
    let deadline = Instant::now() + TIME_LIMIT;
    let ask_each = |executables: &[PathBuf], arguments: &[&str]| -> Vec<(PathBuf, Option<Child>)> {
        executables.iter().map(|executable| (executable.clone(), ask(executable, arguments))).collect()
    };
    let pythons = ask_each(pythons, &["-I", "-S", "-c", PYTHON_QUESTION]);
    let nodes = ask_each(nodes, &["-e", NODE_QUESTION]);
    let pythons = pythons.into_iter().filter_map(|(executable, child)| python(executable, child?, deadline));
    let pythons = pythons.collect();
    (pythons, nodes.into_iter().filter_map(|(executable, child)| node(executable, child?, deadline)).collect())
}

fn python(executable: PathBuf, child: Child, deadline: Instant) -> Option<(u32, PythonInterpreter)> {
    let answer: Option<PythonAnswer> = read_answer(child, deadline);
    let Some(answer) = answer.filter(|answer| answer.implementation == "cpython") else {
        tracing::debug!(executable = %executable.display(), "not a usable Python interpreter");
        return None;
    };
    let interpreter = PythonInterpreter {
        identifier: Runtime::new(format!("python3.{}", answer.minor)),
        executable,
        prefix: answer.prefix,
        version: answer.version,
        standard_library: answer.standard_library,
        multiarch: Some(answer.multiarch).filter(|tag| !tag.is_empty()),
    };
    Some((answer.minor, interpreter))
}

fn node(executable: PathBuf, child: Child, deadline: Instant) -> Option<(u32, NodeInterpreter)> {
    let answer: Option<NodeAnswer> = read_answer(child, deadline);
    let Some(answer) = answer.filter(|answer| answer.name == "node") else {
        tracing::debug!(executable = %executable.display(), "not a usable Node.js");
        return None;
    };
    let major = answer.version.split('.').next()?.parse().ok()?;
    let identifier = Runtime::new(format!("nodejs{major}.x"));
    let NodeAnswer { version, libraries, .. } = answer;
    Some((major, NodeInterpreter { identifier, executable, version, libraries }))
}

#[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
fn ask(executable: &Path, arguments: &[&str]) -> Option<Child> {
    let mut command = Command::new(executable);
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()
}

/// Waits for the end of a child, kills it when it takes too long, and reads what it said.
fn read_answer<T: DeserializeOwned>(mut child: Child, deadline: Instant) -> Option<T> {
    let ended = wait_until(&child, deadline);
    if !ended {
        child.kill().ok()?;
    }
    let status = child.wait().ok()?;
    if !ended || !status.success() {
        return None;
    }
    // It has ended, so its answer is in the pipe; a grandchild that holds the pipe open is outside the honest case.
    let mut text = Vec::new();
    child.stdout.take()?.take(ANSWER_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn wait_until(child: &Child, deadline: Instant) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let Some(Ok(handle)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return false };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::python;

    #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
    fn child(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn version_from(script: &str, limit: Duration) -> Option<String> {
        let found = python("/bin/sh".into(), child(script), Instant::now() + limit);
        found.map(|(_, interpreter)| interpreter.version)
    }

    #[test]
    fn a_program_that_never_ends_is_given_up_and_killed() {
        let started = Instant::now();
        assert_eq!(version_from("exec sleep 60", Duration::from_millis(50)), None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn only_a_cpython_that_ends_well_counts() {
        let answer = r#"{"implementation": "cpython", "minor": 9, "version": "3.9.1", "prefix": "/",
            "standard_library": "/", "multiarch": ""}"#;
        let check = |script: &str, expected: Option<&str>| {
            assert_eq!(version_from(script, Duration::from_secs(20)).as_deref(), expected, "{script}");
        };
        check(&format!("echo '{answer}'"), Some("3.9.1"));
        check(&format!("echo '{answer}'; exit 1"), None);
        check(&format!("echo '{}'", answer.replace("cpython", "pypy")), None);
        check("echo hello", None);
        check("", None);
    }
}
