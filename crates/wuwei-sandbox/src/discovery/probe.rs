//! Asks interpreters who they are, all at once and with a time limit.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::time::Timespec;
use serde::Deserialize;
use wuwei_model::Runtime;

use super::PythonInterpreter;

/// An interpreter answers in about 10 ms; a cold disk may need far longer.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// The answer is some 200 bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Writes its JSON by hand and imports nothing that start-up has not: a broken installation should still answer.
const QUESTION: &str = r#"
import os, sys
text = lambda value: '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
print('{"implementation": %s, "minor": %d, "version": %s, "prefix": %s, "standard_library": %s, "multiarch": %s}' % (
    text(sys.implementation.name), sys.version_info[1], text("%d.%d.%d" % sys.version_info[:3]), text(sys.base_prefix),
    text(os.path.dirname(os.__file__)), text(getattr(sys.implementation, "_multiarch", ""))))
"#;

#[derive(Deserialize)]
struct Answer {
    implementation: String,
    minor: u32,
    version: String,
    prefix: PathBuf,
    standard_library: PathBuf,
    multiarch: String,
}

/// The CPythons among `executables` with their minor versions, in the order of `executables`.
pub(super) fn ask_all(executables: &[PathBuf]) -> Vec<(u32, PythonInterpreter)> {
    let deadline = Instant::now() + TIME_LIMIT;
    let asked: Vec<_> = executables.iter().map(|executable| (executable, ask(executable))).collect();
    let answered = asked.into_iter().filter_map(|(executable, child)| {
        let answer = read_answer(child?, deadline);
        if answer.is_none() {
            tracing::debug!(executable = %executable.display(), "not a usable Python interpreter");
        }
        let answer = answer?;
        let interpreter = PythonInterpreter {
            identifier: Runtime::new(format!("python3.{}", answer.minor)),
            executable: executable.clone(),
            prefix: answer.prefix,
            version: answer.version,
            standard_library: answer.standard_library,
            multiarch: Some(answer.multiarch).filter(|tag| !tag.is_empty()),
        };
        Some((answer.minor, interpreter))
    });
    answered.collect()
}

#[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
fn ask(executable: &PathBuf) -> Option<Child> {
    let mut command = Command::new(executable);
    command.args(["-I", "-S", "-c", QUESTION]).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()
}

/// Waits for the end of a child, kills it when it takes too long, and reads what it said.
fn read_answer(mut child: Child, deadline: Instant) -> Option<Answer> {
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
    let answer: Answer = serde_json::from_slice(&text).ok()?;
    (answer.implementation == "cpython").then_some(answer)
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

    use super::read_answer;

    #[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
    fn child(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn version_from(script: &str, limit: Duration) -> Option<String> {
        read_answer(child(script), Instant::now() + limit).map(|answer| answer.version)
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
