//! Attempts from a forked runtime: the function of a Python blank executes the attempt's program in its own place, which
//! takes over all that encloses the fork.

use std::io;
use std::path::{Path, PathBuf};

use crate::launcher::{Ahead, Bind, LaunchRequest};
use crate::runtimes::{BLANK_ARGUMENT, zygote_of};
use crate::sandbox::write_runtime_files;

const COMMAND: &str = "WUWEI_ATTEMPT_COMMAND";
const PYTHON: &str = "/usr/bin/python3";
/// Says so when it was not forked: while the zygote boots.
const START: &str = "import json, os
if b'--zygote' not in open('/proc/self/cmdline', 'rb').read():
    print('not forked', flush=True)
    os._exit(99)
program, arguments = json.loads(os.environ.pop('WUWEI_ATTEMPT_COMMAND'))
os.close(3)
os.execv(program, [program] + arguments)
";

/// Writes what all of them start from, beside the directory of the other things.
pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    write_runtime_files(&directory.join("runtime"))?;
    let task = directory.join("start");
    std::fs::create_dir(&task)?;
    std::fs::write(task.join("start.py"), START)
}

/// Makes the program a matter of the assignment; gives the handler.
pub(super) fn hand_over(request: &mut LaunchRequest, covered: &Path) -> io::Result<&'static str> {
    let command = serde_json::to_string(&(&request.program, &request.arguments))?;
    request.environment.extend([(COMMAND.to_owned(), command), language()]);
    request.binds.push(Bind { source: covered.with_file_name("start"), target: PathBuf::from("/var/task") });
    Ok("start.handler")
}

/// Makes the sandbox one whose runtime is forked.
pub(super) fn boot(request: &mut LaunchRequest, covered: &Path) {
    request.binds.push(Bind { source: covered.with_file_name("runtime"), target: PathBuf::from("/var/runtime") });
    request.program = PathBuf::from(PYTHON);
    request.arguments = ["-s", "-S", "/var/runtime/bootstrap.py", BLANK_ARGUMENT].map(str::to_owned).to_vec();
    request.environment = vec![language()];
    request.control = true;
    request.ahead = Some(Ahead::Booted);
    request.zygote = zygote_of(request);
}

/// The same at both times: the interpreter reads it when it starts.
fn language() -> (String, String) {
    ("LANG".to_owned(), "C.UTF-8".to_owned())
}
