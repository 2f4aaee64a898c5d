//! Runs programs in sandboxes from which defences can be left out: the other half of `tests/attack`.
//!
//! `attempts DIRECTORY LAUNCHER [ARGUMENT]…` starts two launchers, the named one, which has every defence, and itself.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next() else {
        return wuwei_sandbox::run_launcher();
    };
    let shipped = arguments.next().map(PathBuf::from).unwrap_or_default();
    let shipped_arguments = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    wuwei_sandbox::attempts::run(&PathBuf::from(directory), shipped, shipped_arguments)
}
