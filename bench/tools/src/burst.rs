//! Bursts: many requests at the same moment, each on a connection of its own; how long until all are answered.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::http::{Connection, contains};
use crate::nanoseconds_since;
use crate::sequence::{Step, run_step};

/// A server that answers nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    address: SocketAddr,
    rounds: Vec<Round>,
    must_contain: String,
    /// How many answers are those of an instance's first call, is told.
    marks_first: String,
}

/// One burst, and what makes it cold.
#[derive(Deserialize)]
struct Round {
    /// One after another, before the clock runs.
    prepare: Vec<Step>,
    /// Silence after that.
    pause_ms: u64,
    requests: Vec<String>,
}

/// What came of it.
#[derive(Default, Serialize)]
pub(crate) struct Output {
    /// Of each round: from the first request to the last answer.
    spans_ns: Vec<u64>,
    /// Of each request, in the order of the answers.
    samples_ns: Vec<u64>,
    /// Answers of each round that were their instance's first.
    firsts: Vec<usize>,
    /// What the answers say about their cold starts.
    phases: Vec<String>,
}

/// Runs the rounds.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    let mut output = Output::default();
    for round in &input.rounds {
        prepare(input, round)?;
        // Connecting is not part of the burst; the server has taken the connections when the silence is over.
        let mut connections = connect(input.address, round.requests.len())?;
        thread::sleep(Duration::from_millis(round.pause_ms));
        run_round(input, round, &mut connections, &mut output)?;
    }
    Ok(output)
}

fn prepare(input: &Input, round: &Round) -> anyhow::Result<()> {
    if round.prepare.is_empty() {
        return Ok(());
    }
    let stream = TcpStream::connect(input.address).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut connection = Connection::new(stream);
    for step in &round.prepare {
        thread::sleep(Duration::from_millis(step.pause_ms));
        run_step(&mut connection, step, &mut Vec::new())?;
    }
    Ok(())
}

fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Vec<Connection<mio::net::TcpStream>>> {
    (0..count)
        .map(|_| {
            let stream = TcpStream::connect(address).context("connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection::new(mio::net::TcpStream::from_std(stream)))
        })
        .collect()
}

fn run_round(
    input: &Input,
    round: &Round,
    connections: &mut [Connection<mio::net::TcpStream>],
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(connections.len().max(1));
    for (token, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(connection.stream_mut(), Token(token), Interest::READABLE)?;
    }
    let mut sent = Vec::with_capacity(connections.len());
    let start = Instant::now();
    for (connection, request) in connections.iter_mut().zip(&round.requests) {
        sent.push(Instant::now());
        connection.send(request)?;
    }
    let (mut left, mut firsts) = (sent.len(), 0);
    while left > 0 {
        poll.poll(&mut events, Some(SILENCE))?;
        ensure!(!events.is_empty(), "{left} of {} requests without an answer within {SILENCE:?}", sent.len());
        for event in &events {
            let index = event.token().0;
            let (Some(connection), Some(sent)) = (connections.get_mut(index), sent.get(index)) else { continue };
            let Some(answer) = connection.receive()? else { continue };
            output.samples_ns.push(nanoseconds_since(*sent));
            answer.check(&input.must_contain)?;
            firsts += usize::from(contains(answer.body, &input.marks_first));
            output.phases.extend(answer.phases.map(str::to_owned));
            left -= 1;
        }
    }
    output.spans_ns.push(nanoseconds_since(start));
    output.firsts.push(firsts);
    Ok(())
}
