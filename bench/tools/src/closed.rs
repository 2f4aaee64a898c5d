//! Closed load: each connection sends its next request when it has its answer.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::http::{Connection, contains};
use crate::nanoseconds_since;

/// A server that answers nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// Enough for a p99 over several blocks.
const THINNED_MAX: usize = 1000;

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    address: SocketAddr,
    connections: usize,
    /// Sent in turn, over and over.
    requests: Vec<String>,
    /// Requests before the first that counts, of all connections together.
    warm_up: usize,
    /// Load ends after so long …
    milliseconds: u64,
    /// … but not before so many answers were counted.
    samples_min: usize,
    must_contain: String,
    /// How often the answer of a first call was among those that count, is told.
    marks_first: String,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Output {
    /// Answers that count.
    samples: usize,
    elapsed_ns: u64,
    /// Warm-up included.
    completed: usize,
    /// Answers of instances that were started within the measurement.
    firsts: usize,
    p50_ns: u64,
    p99_ns: u64,
    /// The latencies in order, thinned out evenly to at most [`THINNED_MAX`]; each stands for the slowest of its share.
    thinned_ns: Vec<u64>,
}

/// Runs the load.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    ensure!(input.connections > 0 && !input.requests.is_empty(), "no connection or no request");
    let mut tally = Tally::new(input);
    if input.connections == 1 {
        one(input, &mut tally)?;
    } else {
        many(input, &mut tally)?;
    }
    tally.output()
}

/// One connection needs no poll: the thread sleeps in `read`.
fn one(input: &Input, tally: &mut Tally<'_>) -> anyhow::Result<()> {
    let stream = TcpStream::connect(input.address).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut connection = Connection::new(stream);
    while !tally.is_full() {
        let start = Instant::now();
        connection.send(tally.next_request())?;
        let answer = connection.receive()?.with_context(|| format!("no answer within {SILENCE:?}"))?;
        let latency = nanoseconds_since(start);
        answer.check(&input.must_contain)?;
        tally.count(latency, answer.body);
    }
    Ok(())
}

/// Many connections share one thread.
fn many(input: &Input, tally: &mut Tally<'_>) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(input.connections);
    let mut connections = Vec::new();
    for token in 0..input.connections {
        let stream = TcpStream::connect(input.address).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Connection::new(mio::net::TcpStream::from_std(stream));
        poll.registry().register(connection.stream_mut(), Token(token), Interest::READABLE)?;
        let start = Instant::now();
        connection.send(tally.next_request())?;
        connections.push((connection, start));
    }
    while !tally.is_full() {
        poll.poll(&mut events, Some(SILENCE))?;
        ensure!(!events.is_empty(), "no answer within {SILENCE:?}");
        for event in &events {
            let Some((connection, start)) = connections.get_mut(event.token().0) else { continue };
            let Some(answer) = connection.receive()? else { continue };
            let latency = nanoseconds_since(*start);
            answer.check(&input.must_contain)?;
            tally.count(latency, answer.body);
            *start = Instant::now();
            connection.send(tally.next_request())?;
        }
    }
    Ok(())
}

/// Counts answers and decides when it is enough.
struct Tally<'input> {
    input: &'input Input,
    sent: usize,
    completed: usize,
    firsts: usize,
    started: Instant,
    latencies: Vec<u64>,
}

impl<'input> Tally<'input> {
    fn new(input: &'input Input) -> Self {
        Self {
            input,
            sent: 0,
            completed: 0,
            firsts: 0,
            started: Instant::now(),
            latencies: Vec::with_capacity(1 << 17),
        }
    }

    fn next_request(&mut self) -> &'input str {
        let request = self.input.requests.get(self.sent % self.input.requests.len());
        self.sent += 1;
        request.map_or("", String::as_str)
    }

    fn count(&mut self, latency: u64, body: &[u8]) {
        self.completed += 1;
        if self.completed > self.input.warm_up {
            self.latencies.push(latency);
            self.firsts += usize::from(contains(body, &self.input.marks_first));
        } else {
            self.started = Instant::now();
        }
    }

    fn is_full(&self) -> bool {
        self.latencies.len() >= self.input.samples_min.max(1)
            && self.started.elapsed() >= Duration::from_millis(self.input.milliseconds)
    }

    fn output(mut self) -> anyhow::Result<Output> {
        let elapsed_ns = nanoseconds_since(self.started);
        self.latencies.sort_unstable();
        let quantile = |hundredths: usize| {
            let rank = (self.latencies.len() * hundredths).div_ceil(100).max(1) - 1;
            self.latencies.get(rank).copied().context("nothing was measured")
        };
        Ok(Output {
            samples: self.latencies.len(),
            elapsed_ns,
            completed: self.completed,
            firsts: self.firsts,
            p50_ns: quantile(50)?,
            p99_ns: quantile(99)?,
            thinned_ns: thinned(&self.latencies),
        })
    }
}

/// Evenly chosen values of an ordered list, the last among them.
fn thinned(ordered: &[u64]) -> Vec<u64> {
    let wanted = ordered.len().min(THINNED_MAX);
    (1..=wanted).filter_map(|part| ordered.get((ordered.len() * part).div_ceil(wanted) - 1).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_short_lists_and_the_tail_of_long_ones() {
        assert_eq!(thinned(&[]), Vec::<u64>::new());
        assert_eq!(thinned(&[3, 4, 9]), [3, 4, 9]);
        let long: Vec<u64> = (1..=2500).collect();
        let short = thinned(&long);
        assert_eq!((short.len(), short.first(), short.last()), (THINNED_MAX, Some(&3), Some(&2500)));
        assert_eq!(short.get(989), Some(&2475));
    }
}
