//! Instances of custom runtimes: a `bootstrap` executable over the Lambda Runtime API.

use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpListener;

use crate::instance::{InitFailure, Instance, Invocation, InvokeFailure, OutputSink, Reply, Usage};
use crate::output::OutputReader;
use crate::process::SandboxedProcess;
use crate::runtime_api::document::document;
use crate::runtime_api::{Answered, RuntimeApi};
use crate::runtimes::race::{First, Watched, deadline_in, exit_of, has_ended};

#[cfg(test)]
mod tests;

/// How long requests that a process sent before its end may take to be read.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// An instance that asks for its events itself.
pub(crate) struct CustomInstance {
    process: SandboxedProcess,
    api: RuntimeApi,
    lines: OutputReader,
}

impl CustomInstance {
    /// Takes over a process that is starting, and serves the Runtime API to it.
    pub(crate) fn new(process: SandboxedProcess, listener: TcpListener) -> Self {
        Self { process, api: RuntimeApi::serve(listener), lines: OutputReader::default() }
    }
}

/// The reply of a runtime that broke a streamed answer off and lives on.
fn truncated(streamed: bool) -> Reply {
    let error = document("Runtime.TruncatedResponse", "Response truncated");
    if streamed { Reply::Streamed { error: Some(error) } } else { Reply::Error(error) }
}

#[async_trait]
impl Instance for CustomInstance {
    async fn initialise(&mut self, limit: Duration, output: &mut dyn OutputSink) -> Result<(), InitFailure> {
        let SandboxedProcess { output: pipe, exit, .. } = &mut self.process;
        let mut watched = Watched { pipe, lines: &mut self.lines, exit, sink: output };
        let api = &self.api;
        let first = watched.race(api.initialised(), deadline_in(limit)).await;
        let outcome = match first {
            First::Answer(outcome) => outcome.map_err(InitFailure::Reported),
            First::Exit(exit) => match tokio::time::timeout(LAST_REQUESTS, api.last_word(api.initialised())).await {
                Ok(Some(Err(document))) => Err(InitFailure::Reported(document)),
                Ok(Some(Ok(())) | None) | Err(_) => Err(InitFailure::Exited(exit)),
            },
            First::Timeout => Err(InitFailure::Timeout),
        };
        watched.drain();
        outcome
    }

    async fn invoke(&mut self, invocation: Invocation, output: &mut dyn OutputSink) -> Result<Reply, InvokeFailure> {
        let SandboxedProcess { output: pipe, exit, .. } = &mut self.process;
        let mut watched = Watched { pipe, lines: &mut self.lines, exit, sink: output };
        let deadline = deadline_in(invocation.timeout);
        let answer = self.api.offer(invocation);
        tokio::pin!(answer);
        let first = watched.race(&mut answer, deadline).await;
        let answered = match first {
            // Most often the process has ended, which is the better reason.
            First::Answer(answered @ Answered::Truncated { .. }) => {
                match watched.race(std::future::pending::<()>(), deadline_in(LAST_REQUESTS)).await {
                    First::Exit(exit) => Err(InvokeFailure::Exited(exit)),
                    First::Answer(()) | First::Timeout => Ok(answered),
                }
            }
            // Some runtimes end after an error. Waiting for that keeps the next event from an instance that is about to.
            First::Answer(answered @ Answered::Error(_)) => {
                watched.race(self.api.asked(), deadline_in(LAST_REQUESTS)).await;
                Ok(answered)
            }
            First::Answer(answered) => Ok(answered),
            First::Exit(exit) => match self.api.withdraw() {
                Some(invocation) => Err(InvokeFailure::NotTaken(exit, Box::new(invocation))),
                None => match tokio::time::timeout(LAST_REQUESTS, self.api.last_word(answer)).await {
                    Ok(Some(Answered::Truncated { .. }) | None) | Err(_) => Err(InvokeFailure::Exited(exit)),
                    Ok(Some(answered)) => Ok(answered),
                },
            },
            First::Timeout => Err(InvokeFailure::Timeout),
        };
        watched.drain();
        match answered? {
            Answered::Success(body) => Ok(Reply::Success(body)),
            Answered::Error(document) => Ok(Reply::Error(document)),
            Answered::Streamed(error) => Ok(Reply::Streamed { error }),
            Answered::Truncated { streamed } => Ok(truncated(streamed)),
            Answered::TooLarge(bytes) => Err(InvokeFailure::ResponseTooLarge(bytes)),
            Answered::NotReady => Err(InvokeFailure::Protocol("the runtime is not waiting for an event".to_owned())),
        }
    }

    fn usage(&self) -> Usage {
        self.process.controls.usage()
    }

    fn cpu_us(&self) -> u64 {
        self.process.controls.cpu_us()
    }

    fn peak_memory_bytes(&self) -> u64 {
        self.process.controls.peak_memory_bytes()
    }

    fn reset_peak_memory(&self) {
        self.process.controls.reset_peak_memory();
    }

    fn freeze(&self) {
        self.process.controls.freeze();
    }

    fn thaw(&self) {
        self.process.controls.thaw();
    }

    fn is_alive(&self) -> bool {
        !has_ended(&self.process.exit)
    }

    async fn stop(mut self: Box<Self>) {
        self.process.controls.kill();
        exit_of(&mut self.process.exit).await;
    }
}
