//! Starting a program and waiting for its end: over and over, many at the same moment, or as often as the machine can.

use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::nanoseconds_since;

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Input {
    /// Program, by its absolute path, and arguments.
    command: Vec<String>,
    /// How often; of bursts how many bursts.
    #[serde(default)]
    samples: usize,
    /// Silence before each.
    #[serde(default)]
    pause_ms: u64,
    /// So many at the same moment.
    #[serde(default)]
    parallel: usize,
    /// How long a rate is measured.
    #[serde(default)]
    milliseconds: u64,
}

/// What came of starting one after another.
#[derive(Serialize)]
pub(crate) struct Output {
    samples_ns: Vec<u64>,
}

/// What came of bursts.
#[derive(Default, Serialize)]
pub(crate) struct Bursts {
    /// Of each burst: until the last process has ended.
    spans_ns: Vec<u64>,
    /// Of each process.
    samples_ns: Vec<u64>,
}

/// What came of starting as often as possible.
#[derive(Serialize)]
pub(crate) struct Rate {
    started: usize,
    elapsed_ns: u64,
}

/// Runs the program so often; its environment is empty.
pub(crate) fn run(input: &Input) -> anyhow::Result<Output> {
    let mut samples_ns = Vec::with_capacity(input.samples);
    for _ in 0..input.samples {
        thread::sleep(Duration::from_millis(input.pause_ms));
        samples_ns.push(once(&input.command)?);
    }
    Ok(Output { samples_ns })
}

/// Starts so many at the same moment, each from a thread that waits ready.
pub(crate) fn bursts(input: &Input) -> anyhow::Result<Bursts> {
    let mut output = Bursts::default();
    for _ in 0..input.samples {
        thread::sleep(Duration::from_millis(input.pause_ms));
        let ready = Barrier::new(input.parallel + 1);
        let (span, samples) = thread::scope(|scope| {
            let start_one = || {
                ready.wait();
                once(&input.command)
            };
            let threads: Vec<_> = (0..input.parallel).map(|_| scope.spawn(start_one)).collect();
            ready.wait();
            let start = Instant::now();
            let samples: Vec<_> = threads.into_iter().map(joined).collect();
            (nanoseconds_since(start), samples)
        });
        output.spans_ns.push(span);
        for sample in samples {
            output.samples_ns.push(sample?);
        }
    }
    Ok(output)
}

/// Starts as often as possible from so many threads, for so long.
pub(crate) fn rate(input: &Input) -> anyhow::Result<Rate> {
    let ready = Barrier::new(input.parallel + 1);
    let duration = Duration::from_millis(input.milliseconds);
    let (elapsed_ns, counts) = thread::scope(|scope| {
        let start_many = || {
            ready.wait();
            let begin = Instant::now();
            let mut started = 0_usize;
            while begin.elapsed() < duration {
                once(&input.command)?;
                started += 1;
            }
            Ok(started)
        };
        let threads: Vec<_> = (0..input.parallel).map(|_| scope.spawn(start_many)).collect();
        ready.wait();
        let start = Instant::now();
        let counts: Vec<anyhow::Result<usize>> = threads.into_iter().map(joined).collect();
        (nanoseconds_since(start), counts)
    });
    let started = counts.into_iter().sum::<anyhow::Result<usize>>()?;
    Ok(Rate { started, elapsed_ns })
}

/// From before its start to after its end.
fn once(command: &[String]) -> anyhow::Result<u64> {
    let (program, arguments) = command.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.spawn().with_context(|| format!("start `{program}`"))?.wait()?;
    let elapsed = nanoseconds_since(start);
    ensure!(status.success(), "`{program}` ended with {status}");
    Ok(elapsed)
}

fn joined<Value>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<Value>>) -> anyhow::Result<Value> {
    thread.join().map_err(|_| anyhow!("a starting thread failed"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(program: &str) -> Input {
        Input { command: vec![program.to_owned()], samples: 2, pause_ms: 0, parallel: 3, milliseconds: 20 }
    }

    #[test]
    fn a_burst_has_one_span_and_a_time_of_each_process() {
        let output = bursts(&input("/bin/true")).unwrap();
        assert_eq!((output.spans_ns.len(), output.samples_ns.len()), (2, 6));
        assert!(rate(&input("/bin/true")).unwrap().started >= 3);
    }

    #[test]
    fn a_program_that_fails_is_an_error() {
        assert!(run(&input("/bin/false")).is_err());
        assert!(bursts(&input("/bin/false")).is_err());
        assert!(rate(&input("/bin/false")).is_err());
    }
}
