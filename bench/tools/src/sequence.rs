//! Rounds of requests on one connection, of which some are timed: a cold start after the change that makes it cold.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::http::{Connection, contains};
use crate::nanoseconds_since;

/// How often a step is repeated until it answers what it must.
const REPEATS_MAX: usize = 1000;

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    address: SocketAddr,
    rounds: Vec<Vec<Step>>,
}

/// One request.
#[derive(Deserialize)]
pub(crate) struct Step {
    request: String,
    /// Silence before it.
    pub(crate) pause_ms: u64,
    timed: bool,
    must_contain: String,
    /// Ask again while the answer does not contain the text; else that is an error.
    repeat: bool,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Output {
    /// Of each timed step, in order.
    samples_ns: Vec<u64>,
    /// What the answers of timed steps say about their cold starts.
    phases: Vec<String>,
}

/// Runs the rounds.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    let stream = TcpStream::connect(input.address).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut connection = Connection::new(stream);
    let (mut samples_ns, mut phases) = (Vec::new(), Vec::new());
    for step in input.rounds.iter().flatten() {
        thread::sleep(Duration::from_millis(step.pause_ms));
        let elapsed = run_step(&mut connection, step, &mut phases)?;
        if step.timed {
            samples_ns.push(elapsed);
        }
    }
    Ok(Output { samples_ns, phases })
}

/// One step, repeated where it asks for that; the time is that of the last try.
pub(crate) fn run_step(
    connection: &mut Connection<TcpStream>,
    step: &Step,
    phases: &mut Vec<String>,
) -> anyhow::Result<u64> {
    for _ in 0..REPEATS_MAX {
        let start = Instant::now();
        connection.send(&step.request)?;
        let answer = connection.receive()?.context("no answer within 60 s")?;
        let elapsed = nanoseconds_since(start);
        if step.repeat && answer.status == 200 && !contains(answer.body, &step.must_contain) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        answer.check(&step.must_contain)?;
        if step.timed {
            phases.extend(answer.phases.map(str::to_owned));
        }
        return Ok(elapsed);
    }
    bail!("`{}` did not come within {REPEATS_MAX} tries", step.must_contain)
}
