//! The states of a custom runtime: which request is allowed when, and who waits for what.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use wuwei_model::InvocationId;

use super::Answered;
use crate::instance::Invocation;

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
    /// The pick-up of an event.
    Offered(Box<Invocation>, oneshot::Sender<Answered>),
    /// The answer to an event.
    Running(InvocationId, oneshot::Sender<Answered>),
}

impl Phase {
    /// The name that AWS's error texts use.
    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Started",
            Self::Failed => "InitError",
            Self::Idle | Self::Offered(..) => "Ready",
            Self::Running(..) => "Running",
        }
    }
}

/// Why a request of the runtime is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The id in the path is not that of the event in work.
    InvalidRequestId,
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
    initialised: watch::Sender<Option<Result<(), Bytes>>>,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { state: Mutex::default(), offered: Notify::new(), initialised: watch::Sender::new(None) }
    }
}

impl Exchange {
    /// Waits for the first `next` or for an initialisation error.
    pub(super) async fn initialised(&self) -> Result<(), Bytes> {
        let mut receiver = self.initialised.subscribe();
        let outcome = receiver.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.expect("the sender lives as long as this exchange, and the value is there")
    }

    /// Offers an event to the runtime. The receiver fails at once when the runtime is not idle.
    pub(super) fn offer(&self, invocation: Invocation) -> oneshot::Receiver<Answered> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        if matches!(state.phase, Phase::Idle) {
            state.phase = Phase::Offered(Box::new(invocation), sender);
            self.offered.notify_one();
        }
        receiver
    }

    /// `GET next`: waits for an event, which is then in work.
    pub(super) async fn next(&self) -> Result<Invocation, Refusal> {
        self.ask_for_event()?;
        loop {
            let offered = self.offered.notified();
            if let Some(invocation) = self.take_offered() {
                return Ok(invocation);
            }
            offered.await;
        }
    }

    /// Whether an answer to this id would be taken now.
    pub(super) fn check(&self, id: &str, to: &'static str) -> Result<(), Refusal> {
        self.lock().check(id, to)
    }

    /// `POST response` and `POST error`: the first answer to an event is its answer.
    pub(super) fn answer(&self, id: &str, to: &'static str, answered: Answered) -> Result<(), Refusal> {
        let mut state = self.lock();
        state.check(id, to)?;
        match std::mem::replace(&mut state.phase, Phase::Idle) {
            Phase::Running(id, sender) => {
                state.last_answered = Some(id);
                if sender.send(answered).is_err() {
                    tracing::debug!("answer to an invocation that was given up");
                }
            }
            phase @ (Phase::Starting | Phase::Failed | Phase::Idle | Phase::Offered(..)) => state.phase = phase,
        }
        Ok(())
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
            Phase::Idle | Phase::Offered(..) => Ok(()),
            Phase::Failed | Phase::Running(..) => {
                Err(Refusal::InvalidTransition { from: state.phase.name(), to: "Ready" })
            }
        }
    }

    fn take_offered(&self) -> Option<Invocation> {
        let mut state = self.lock();
        match std::mem::take(&mut state.phase) {
            Phase::Offered(invocation, sender) => {
                state.phase = Phase::Running(invocation.id.clone(), sender);
                Some(*invocation)
            }
            phase @ (Phase::Starting | Phase::Failed | Phase::Idle | Phase::Running(..)) => {
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
    fn check(&self, id: &str, to: &'static str) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Running(running, _) if running.as_str() == id => Ok(()),
            _ if self.last_answered.as_ref().is_some_and(|answered| answered.as_str() == id) => {
                Err(Refusal::InvalidTransition { from: self.phase.name(), to })
            }
            Phase::Starting | Phase::Failed | Phase::Idle | Phase::Offered(..) | Phase::Running(..) => {
                Err(Refusal::InvalidRequestId)
            }
        }
    }
}
