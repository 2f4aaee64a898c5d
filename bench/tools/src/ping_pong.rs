//! An event's way to a warm process and back with nothing around it: a Unix socket between two processes.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::nanoseconds_since;

/// About the size of the measured event.
const FRAME_BYTES: usize = 200;

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    /// Both processes on one core; else where the scheduler puts them.
    same_core: bool,
    warm_up: usize,
    samples: usize,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Output {
    samples_ns: Vec<u64>,
}

/// Sends frames to a child that sends them back.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    if input.same_core {
        // The child inherits it.
        let allowed = sched_getaffinity(None)?;
        let core = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).context("no core is allowed")?;
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only)?;
    }
    let (mut here, there) = UnixStream::pair()?;
    here.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("pong")
        .stdin(Stdio::from(OwnedFd::from(there)))
        .spawn()
        .context("start the other side")?;
    let mut frame = [7_u8; FRAME_BYTES];
    let mut samples_ns = Vec::with_capacity(input.samples);
    for round in 0..input.warm_up + input.samples {
        let start = Instant::now();
        here.write_all(&frame)?;
        here.read_exact(&mut frame)?;
        if round >= input.warm_up {
            samples_ns.push(nanoseconds_since(start));
        }
    }
    drop(here);
    ensure!(child.wait()?.success(), "the other side failed");
    Ok(Output { samples_ns })
}

/// The child: gives back what comes in at standard input, until it is closed.
pub(crate) fn pong() -> anyhow::Result<()> {
    use std::os::fd::AsFd as _;
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut frame = [0_u8; FRAME_BYTES];
    loop {
        match socket.read(&mut frame)? {
            0 => return Ok(()),
            count => socket.write_all(frame.get(..count).unwrap_or_default())?,
        }
    }
}
