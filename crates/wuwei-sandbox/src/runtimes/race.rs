//! Waits for a runtime's answer while its output is read, its end is watched and its time runs out.

use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::instance::{OutputSink, ProcessExit};
use crate::output::OutputReader;

/// What came first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First<T> {
    /// The work's result.
    Answer(T),
    /// The process ended.
    Exit(ProcessExit),
    /// The deadline passed.
    Timeout,
}

/// The part of a process that is watched while work with it goes on.
pub(crate) struct Watched<'a> {
    /// Pipe that is the function's stdout and stderr.
    pub(crate) pipe: &'a pipe::Receiver,
    /// Lines from that pipe.
    pub(crate) lines: &'a mut OutputReader,
    /// The process's end.
    pub(crate) exit: &'a mut watch::Receiver<Option<ProcessExit>>,
    /// Takes the lines.
    pub(crate) sink: &'a mut dyn OutputSink,
}

impl Watched<'_> {
    /// Runs `work` until it is done, the process has ended or the deadline has passed, whichever is first.
    pub(crate) async fn race<T>(&mut self, work: impl Future<Output = T>, deadline: Instant) -> First<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                answer = &mut work => return First::Answer(answer),
                exit = exit_of(self.exit) => return First::Exit(exit),
                () = tokio::time::sleep_until(deadline) => return First::Timeout,
                () = self.lines.pump(self.pipe, self.sink), if !self.lines.is_closed() => {}
            }
            // A function that floods its output must not keep this thread from the other instances, nor from the
            // socket, which reads nothing once the task's budget is spent.
            tokio::task::consume_budget().await;
        }
    }

    /// Passes on all that the function has printed, its unfinished last line included.
    pub(crate) fn drain(&mut self) {
        self.lines.drain(self.pipe, self.sink);
    }
}

/// Waits until the process has ended. [`ProcessExit::Lost`] when its sandbox is gone without a word.
pub(crate) async fn exit_of(exit: &mut watch::Receiver<Option<ProcessExit>>) -> ProcessExit {
    exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(ProcessExit::Lost)
}

/// Whether the process has ended, or its sandbox is gone without a word.
pub(crate) fn has_ended(exit: &watch::Receiver<Option<ProcessExit>>) -> bool {
    exit.borrow().is_some() || exit.has_changed().is_err()
}

/// When a time limit that starts now ends.
pub(crate) fn deadline_in(limit: Duration) -> Instant {
    let now = Instant::now();
    // A limit that no clock can hold is no limit that anybody reaches.
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}
