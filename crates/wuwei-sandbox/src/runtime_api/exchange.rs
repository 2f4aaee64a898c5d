//! The states of a custom runtime: which request is allowed when, and who waits for what.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot, watch};
use uuid::Uuid;
use wuwei_model::InvocationId;

use super::Answered;
use crate::defence::{Defence, stands};
use crate::instance::Invocation;
use crate::stream::StreamSink;

/// Bodies that are read at a time. One would do for a runtime that follows the protocol; the second is for a connection
/// that it gave up in the middle. More would let a function keep the server's memory instead of its own.
const BODIES_MAX: usize = 2;

/// Where the runtime is. Each state says what is still to come.
#[derive(Debug, Default)]
enum Phase {
    /// Its first request for an event, or its report that it cannot start.
    #[default]
    Starting,
    /// Nothing: it has reported that it cannot start.
    Failed,
    /// An event.
    Idle,
    /// Another request for an event: the last one is answered.
    Answered,
    /// The pick-up of an event.
    Offered(Box<Invocation>, oneshot::Sender<Answered>),
    /// The answer to an event.
    Running(Work),
    /// The end of an answer that is streamed.
    Streaming(Work),
}

impl Phase {
    /// The name that AWS's error texts use.
    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Started",
            Self::Failed => "InitError",
            Self::Idle | Self::Offered(..) => "Ready",
            Self::Answered => "ResponseSent",
            Self::Running(_) => "Running",
            Self::Streaming(_) => "InvocationResponse",
        }
    }
}

/// An event that the runtime has picked up.
#[derive(Debug)]
struct Work {
    id: InvocationId,
    attempt: String,
    stream: Option<StreamSink>,
    answer: oneshot::Sender<Answered>,
}

/// What the runtime is handed.
#[derive(Debug)]
pub(super) struct Handed {
    /// The event.
    pub(super) invocation: Invocation,
    /// `Lambda-Runtime-Invocation-Id`: never the same twice, also when a request id is.
    pub(super) attempt: String,
}

/// Which event a request of the runtime is about.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Request id, from the path.
    pub(super) id: String,
    /// `Lambda-Runtime-Invocation-Id`, which older runtimes do not send back.
    pub(super) attempt: Option<String>,
    /// The state that the request leads to, as AWS's error texts name it.
    pub(super) to: &'static str,
}

/// Why a request of the runtime is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The id in the path is not that of the event in work.
    InvalidRequestId,
    /// It answers an earlier attempt at the event in work.
    Stale,
    /// Not now: the state it is in and the one that the request would lead to.
    InvalidTransition {
        /// Where the runtime is.
        from: &'static str,
        /// Where it asked to go.
        to: &'static str,
    },
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    last_answered: Option<InvocationId>,
}

/// The meeting point of the runtime's requests and the instance.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    offered: Notify,
    asked: Notify,
    initialised: watch::Sender<Option<Result<(), Bytes>>>,
    bodies: Semaphore,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            offered: Notify::new(),
            asked: Notify::new(),
            initialised: watch::Sender::new(None),
            bodies: Semaphore::new(BODIES_MAX),
        }
    }
}

impl Exchange {
    /// Waits for the first `next` or for an initialisation error.
    pub(super) async fn initialised(&self) -> Result<(), Bytes> {
        let mut receiver = self.initialised.subscribe();
        let outcome = receiver.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.expect("the sender lives as long as this exchange, and the value is there")
    }

    /// Waits until the runtime that has answered asks for another event.
    pub(super) async fn asked(&self) {
        loop {
            let asked = self.asked.notified();
            if !matches!(self.lock().phase, Phase::Answered) {
                return;
            }
            asked.await;
        }
    }

    /// Offers an event to the runtime. The receiver fails at once when the runtime is not idle.
    pub(super) fn offer(&self, invocation: Invocation) -> oneshot::Receiver<Answered> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        if matches!(state.phase, Phase::Idle | Phase::Answered) {
            state.phase = Phase::Offered(Box::new(invocation), sender);
            self.offered.notify_one();
        }
        receiver
    }

    /// Takes back an event that the runtime has not picked up.
    pub(super) fn withdraw(&self) -> Option<Invocation> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.phase, Phase::Answered) {
            Phase::Offered(invocation, _) => Some(*invocation),
            phase @ (Phase::Starting
            | Phase::Failed
            | Phase::Idle
            | Phase::Answered
            | Phase::Running(_)
            | Phase::Streaming(_)) => {
                state.phase = phase;
                None
            }
        }
    }

    /// `GET next`: waits for an event, which is then in work.
    pub(super) async fn next(&self) -> Result<Handed, Refusal> {
        self.ask_for_event()?;
        loop {
            let offered = self.offered.notified();
            if let Some(handed) = self.take_offered() {
                return Ok(handed);
            }
            offered.await;
        }
    }

    /// Waits for room for one more body; hold it for as long as the body is being read.
    pub(super) async fn room_for_body(&self) -> SemaphorePermit<'_> {
        self.bodies.acquire().await.expect("the semaphore is never closed")
    }

    /// Whether an answer to this event would be taken now.
    pub(super) fn check(&self, reference: &Reference) -> Result<(), Refusal> {
        self.lock().check(reference)
    }

    /// `POST response` and `POST error`: the first answer to an event is its answer.
    pub(super) fn answer(&self, reference: &Reference, answered: Answered) -> Result<(), Refusal> {
        let mut state = self.lock();
        state.check(reference)?;
        state.settle(answered);
        Ok(())
    }

    /// Begins an answer that comes part by part: no other is taken from here on. The sink of a caller who wants parts.
    pub(super) fn begin_stream(&self, reference: &Reference) -> Result<Option<StreamSink>, Refusal> {
        let mut state = self.lock();
        state.check(reference)?;
        match std::mem::take(&mut state.phase) {
            Phase::Running(work) => {
                let sink = work.stream.clone();
                state.phase = Phase::Streaming(work);
                Ok(sink)
            }
            phase @ (Phase::Starting
            | Phase::Failed
            | Phase::Idle
            | Phase::Answered
            | Phase::Offered(..)
            | Phase::Streaming(_)) => {
                state.phase = phase;
                Ok(None)
            }
        }
    }

    /// Ends the answer that [`Self::begin_stream`] began.
    pub(super) fn end_stream(&self, answered: Answered) {
        self.lock().settle(answered);
    }

    /// `POST init/error`: the runtime cannot start.
    pub(super) fn fail(&self, document: Bytes) -> Result<(), Refusal> {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Starting) {
            return Err(Refusal::InvalidTransition { from: state.phase.name(), to: "InitError" });
        }
        state.phase = Phase::Failed;
        self.initialised.send_replace(Some(Err(document)));
        Ok(())
    }

    fn ask_for_event(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        match state.phase {
            Phase::Starting => {
                state.phase = Phase::Idle;
                self.initialised.send_replace(Some(Ok(())));
                Ok(())
            }
            Phase::Answered => {
                state.phase = Phase::Idle;
                self.asked.notify_one();
                Ok(())
            }
            Phase::Idle | Phase::Offered(..) => Ok(()),
            Phase::Failed | Phase::Running(_) | Phase::Streaming(_) => {
                Err(Refusal::InvalidTransition { from: state.phase.name(), to: "Ready" })
            }
        }
    }

    fn take_offered(&self) -> Option<Handed> {
        let mut state = self.lock();
        match std::mem::take(&mut state.phase) {
            Phase::Offered(mut invocation, answer) => {
                let (id, attempt) = (invocation.id.clone(), Uuid::new_v4().to_string());
                let stream = invocation.stream.take();
                state.phase = Phase::Running(Work { id, attempt: attempt.clone(), stream, answer });
                Some(Handed { invocation: *invocation, attempt })
            }
            phase @ (Phase::Starting
            | Phase::Failed
            | Phase::Idle
            | Phase::Answered
            | Phase::Running(_)
            | Phase::Streaming(_)) => {
                state.phase = phase;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl State {
    fn check(&self, Reference { id, attempt, to }: &Reference) -> Result<(), Refusal> {
        if matches!(self.phase, Phase::Running(_)) && !stands(Defence::RequestIds) {
            return Ok(());
        }
        match &self.phase {
            Phase::Running(work) | Phase::Streaming(work)
                if work.id.as_str() == id && attempt.as_ref().is_some_and(|attempt| *attempt != work.attempt) =>
            {
                Err(Refusal::Stale)
            }
            Phase::Running(work) if work.id.as_str() == id => Ok(()),
            Phase::Streaming(work) if work.id.as_str() == id => {
                Err(Refusal::InvalidTransition { from: self.phase.name(), to })
            }
            _ if self.last_answered.as_ref().is_some_and(|answered| answered.as_str() == id) => {
                Err(Refusal::InvalidTransition { from: self.phase.name(), to })
            }
            Phase::Starting
            | Phase::Failed
            | Phase::Idle
            | Phase::Answered
            | Phase::Offered(..)
            | Phase::Running(_)
            | Phase::Streaming(_) => Err(Refusal::InvalidRequestId),
        }
    }

    /// Passes on the answer to the event in work.
    fn settle(&mut self, answered: Answered) {
        match std::mem::replace(&mut self.phase, Phase::Answered) {
            Phase::Running(work) | Phase::Streaming(work) => {
                self.last_answered = Some(work.id);
                if work.answer.send(answered).is_err() {
                    tracing::debug!("answer to an invocation that was given up");
                }
            }
            phase @ (Phase::Starting | Phase::Failed | Phase::Idle | Phase::Answered | Phase::Offered(..)) => {
                self.phase = phase;
            }
        }
    }
}
