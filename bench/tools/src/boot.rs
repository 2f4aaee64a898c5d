//! From starting a server's process to its first answer: what a cold start is for a platform without instances.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, set_child_subreaper, waitpgid};
use serde::{Deserialize, Serialize};

use crate::http::Connection;
use crate::nanoseconds_since;

/// A server that does not listen for so long has failed.
const START_MAX: Duration = Duration::from_secs(30);
/// Between two tries to connect: the error of a sample is at most this and the connecting.
const TRY_EVERY: Duration = Duration::from_micros(500);

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: String,
    address: SocketAddr,
    request: String,
    must_contain: String,
    samples: usize,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Output {
    samples_ns: Vec<u64>,
}

/// Starts the server, asks it once, ends it; so often.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    set_child_subreaper(Some(getpid())).context("become the parent of orphans")?;
    let mut samples_ns = Vec::with_capacity(input.samples);
    for _ in 0..input.samples {
        let start = Instant::now();
        let mut child = start_server(input)?;
        let answered = first_answer(input, &mut child);
        let elapsed = nanoseconds_since(start);
        end(&mut child)?;
        answered?;
        samples_ns.push(elapsed);
    }
    Ok(Output { samples_ns })
}

fn start_server(input: &Input) -> anyhow::Result<Child> {
    let (program, arguments) = input.command.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&input.environment).current_dir(&input.directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().with_context(|| format!("start `{program}`"))
}

fn first_answer(input: &Input, child: &mut Child) -> anyhow::Result<()> {
    let start = Instant::now();
    let stream = loop {
        if let Ok(stream) = TcpStream::connect(input.address) {
            break stream;
        }
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status} before it listened");
        }
        if start.elapsed() > START_MAX {
            bail!("the server does not listen on {}", input.address);
        }
        thread::sleep(TRY_EVERY);
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(START_MAX))?;
    let mut connection = Connection::new(stream);
    connection.send(&input.request)?;
    connection.receive()?.context("no answer")?.check(&input.must_contain)
}

/// Kills the server with all that it started.
fn end(child: &mut Child) -> anyhow::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process_group(group, Signal::KILL)?;
    child.wait()?;
    // Its workers are ours now, see `run`; the port is free when the last of them has gone.
    loop {
        match waitpgid(group, WaitOptions::empty()) {
            Ok(_) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).context("wait for the server's workers"),
        }
    }
}
