//! What the benchmarks measure with, and the bare floors that they compare against.
//!
//! Each subcommand but `echo` reads one JSON document from standard input and writes one to standard output. Who signs
//! requests, starts servers and compares figures is the Python side; here are only the loops that take times.

mod boot;
mod burst;
mod closed;
mod echo;
mod http;
mod ping_pong;
mod sequence;
mod spawn;

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn main() -> anyhow::Result<()> {
    let subcommand = std::env::args().nth(1).unwrap_or_default();
    match subcommand.as_str() {
        "echo" => echo::run(),
        "load" => answer(closed::run),
        "sequence" => answer(sequence::run),
        "burst" => answer(burst::run),
        "spawn" => answer(spawn::run),
        "spawn-burst" => answer(spawn::bursts),
        "spawn-rate" => answer(spawn::rate),
        "boot" => answer(boot::run),
        "ping-pong" => answer(ping_pong::run),
        "pong" => ping_pong::pong(),
        other => bail!("unknown subcommand `{other}`, see main.rs"),
    }
}

/// Reads the document, runs, writes the result.
fn answer<Input: DeserializeOwned, Output: Serialize>(
    run: impl FnOnce(&Input) -> anyhow::Result<Output>,
) -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("read the document")?;
    let output = run(&serde_json::from_str(&text).context("understand the document")?)?;
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, &output)?;
    Ok(stdout.flush()?)
}

/// Nanoseconds since `start`.
fn nanoseconds_since(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
