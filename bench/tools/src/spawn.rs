//! Starting a program and waiting for its end, over and over.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::nanoseconds_since;

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    /// Program, by its absolute path, and arguments.
    command: Vec<String>,
    samples: usize,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Output {
    samples_ns: Vec<u64>,
}

/// Runs the program so often; its environment is empty.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    let (program, arguments) = input.command.split_first().context("no program")?;
    let mut samples_ns = Vec::with_capacity(input.samples);
    for _ in 0..input.samples {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.spawn().with_context(|| format!("start `{program}`"))?.wait()?;
        samples_ns.push(nanoseconds_since(start));
        ensure!(status.success(), "`{program}` ended with {status}");
    }
    Ok(Output { samples_ns })
}
