//! Instances of managed runtimes: wuwei's own bootstrap over the control socket.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::frames::{self, Answer, AnswerKind, FrameError, FrameReader};
use crate::instance::{InitFailure, Instance, Invocation, InvokeFailure, OutputSink, ProcessExit, Reply, Usage};
use crate::output::OutputReader;
use crate::process::SandboxedProcess;
use crate::runtimes::race::{First, Watched, deadline_in, exit_of, has_ended};
use parts::{Parts, Streamed};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod node_tests;
mod parts;
#[cfg(test)]
mod tests;

/// How long a process that closed its control socket may take to end, until it counts as one that broke the protocol.
const CLOSE_TO_EXIT: Duration = Duration::from_secs(1);

/// An instance that is reached over the control socket.
pub(crate) struct ManagedInstance {
    process: SandboxedProcess,
    answers: FrameReader,
    lines: OutputReader,
    own_init: Option<Duration>,
}

/// Why the runtime gave no answer.
enum NoAnswer {
    Exited(ProcessExit),
    Timeout,
    TooLarge(u64),
    Protocol(String),
}

impl From<NoAnswer> for InitFailure {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Exited(exit) => Self::Exited(exit),
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::TooLarge(bytes) => Self::Protocol(FrameError::TooLarge(bytes).to_string()),
            NoAnswer::Protocol(text) => Self::Protocol(text),
        }
    }
}

impl From<NoAnswer> for InvokeFailure {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Exited(exit) => Self::Exited(exit),
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::TooLarge(bytes) => Self::ResponseTooLarge(bytes),
            NoAnswer::Protocol(text) => Self::Protocol(text),
        }
    }
}

impl ManagedInstance {
    /// Takes over a process whose bootstrap is starting.
    pub(crate) fn new(process: SandboxedProcess) -> Self {
        Self { process, answers: FrameReader::default(), lines: OutputReader::default(), own_init: None }
    }

    /// Sends a request, if there is one, and waits for the answer. All output that came before it is in `sink` then.
    async fn exchange(
        &mut self,
        invocation: Option<&Invocation>,
        deadline: Instant,
        sink: &mut dyn OutputSink,
    ) -> Result<(Answer, Option<Streamed>), NoAnswer> {
        let SandboxedProcess { control, output, exit, .. } = &mut self.process;
        let answers = &mut self.answers;
        let mut watched = Watched { pipe: output, lines: &mut self.lines, exit, sink };
        let mut parts = Parts::of(invocation);
        let work = async {
            if let Some(invocation) = invocation {
                control.write_all(frames::request(invocation)).await?;
            }
            loop {
                let answer = answers.read(control).await?;
                if let Some(answer) = parts.take(answer).await? {
                    return Ok(answer);
                }
            }
        };
        let first = watched.race(work, deadline).await;
        let answer = match first {
            First::Answer(Err(FrameError::Closed)) => {
                // The end of the process, seen before the news of it; or a function that closed a socket not its own.
                let patience = deadline.min(deadline_in(CLOSE_TO_EXIT));
                let exit = tokio::time::timeout_at(patience, exit_of(watched.exit)).await;
                exit.map_or(Err(FrameError::Closed.into()), |exit| Err(NoAnswer::Exited(exit)))
            }
            First::Answer(answer) => answer.map_err(NoAnswer::from),
            // It may have answered and then ended: what it wrote is in the socket.
            First::Exit(exit) => {
                let last_words = async {
                    parts.finish_sending().await;
                    loop {
                        let answer = answers.read_remaining(&*control)?;
                        if let Some(answer) = parts.take(answer).await? {
                            return Ok(answer);
                        }
                    }
                };
                match tokio::time::timeout_at(deadline, last_words).await {
                    Ok(Err(FrameError::Closed)) => Err(NoAnswer::Exited(exit)),
                    Ok(answer) => answer.map_err(NoAnswer::from),
                    Err(_elapsed) => Err(NoAnswer::Timeout),
                }
            }
            First::Timeout => Err(NoAnswer::Timeout),
        };
        watched.drain();
        let answer = answer?;
        if !answer.log.is_empty() {
            watched.sink.write_line(std::time::SystemTime::now(), &String::from_utf8_lossy(&answer.log));
        }
        Ok((answer, parts.into_streamed()))
    }
}

impl From<FrameError> for NoAnswer {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge(bytes) => Self::TooLarge(bytes),
            FrameError::Io(ref source) => Self::Protocol(format!("{error}: {source}")),
            FrameError::Closed
            | FrameError::UnknownKind(_)
            | FrameError::Malformed
            | FrameError::Surplus
            | FrameError::Foreign
            | FrameError::OutOfPlace => Self::Protocol(error.to_string()),
        }
    }
}

#[async_trait]
impl Instance for ManagedInstance {
    async fn initialise(&mut self, limit: Duration, output: &mut dyn OutputSink) -> Result<(), InitFailure> {
        let (answer, _none) = self.exchange(None, deadline_in(limit), output).await?;
        match answer.kind {
            AnswerKind::Ready => {
                let told = std::str::from_utf8(&answer.document).ok().and_then(|text| text.parse().ok());
                self.own_init = told.map(Duration::from_micros);
                Ok(())
            }
            AnswerKind::InitError => Err(InitFailure::Reported(answer.document)),
            AnswerKind::Success
            | AnswerKind::Error
            | AnswerKind::LastWords
            | AnswerKind::ContentType
            | AnswerKind::Chunk => Err(InitFailure::Protocol("answer before the first event".to_owned())),
        }
    }

    async fn invoke(&mut self, invocation: Invocation, output: &mut dyn OutputSink) -> Result<Reply, InvokeFailure> {
        let (answer, streamed) = self.exchange(Some(&invocation), deadline_in(invocation.timeout), output).await?;
        if answer.kind == AnswerKind::LastWords {
            // The next event must not meet a process that is about to end.
            if tokio::time::timeout(CLOSE_TO_EXIT, exit_of(&mut self.process.exit)).await.is_err() {
                self.process.controls.kill();
                exit_of(&mut self.process.exit).await;
            }
        }
        match (answer.kind, streamed) {
            (AnswerKind::Success, None) => Ok(Reply::Success(answer.document)),
            (AnswerKind::Success, Some(Streamed::Collected(whole))) => Ok(Reply::Success(whole)),
            (AnswerKind::Success, Some(Streamed::PassedOn)) => Ok(Reply::Streamed { error: None }),
            (AnswerKind::Error | AnswerKind::LastWords, Some(Streamed::PassedOn)) => {
                Ok(Reply::Streamed { error: Some(answer.document) })
            }
            (AnswerKind::Error | AnswerKind::LastWords, None | Some(Streamed::Collected(_))) => {
                Ok(Reply::Error(answer.document))
            }
            (AnswerKind::Ready | AnswerKind::InitError | AnswerKind::ContentType | AnswerKind::Chunk, _) => {
                Err(InvokeFailure::Protocol("initialisation reported twice".to_owned()))
            }
        }
    }

    fn own_init(&self) -> Option<Duration> {
        self.own_init
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
