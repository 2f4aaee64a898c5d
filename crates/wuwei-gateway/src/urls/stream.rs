//! Answers that reach the caller while the function still writes them.

mod assembly;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use wuwei_engine::{Answer as Outcome, Call, InvokeError, StreamPart, StreamSink};
use wuwei_model::FunctionVersion;

use super::refusal;
use crate::gateway::Parts;
use crate::wire::Answer;
use assembly::{Assembly, End};

/// Runs a function whose answer is sent as it comes; returns when its head is known.
///
/// The function runs to its end also when the caller leaves.
pub(super) async fn answer(parts: &Arc<Parts>, version: Arc<FunctionVersion>, mut call: Call) -> Answer {
    let (sink, source) = StreamSink::channel();
    call.stream = Some(sink);
    let (head, answered) = oneshot::channel();
    let engine = parts.engine.clone();
    parts.tasks.spawn(async move {
        pump(engine.invoke(version, call), source, Assembly::new(head)).await;
    });
    // Without a head the pump has panicked, which is counted and logged where tasks are.
    answered.await.unwrap_or_else(|_gone| refusal::bad_gateway())
}

/// Takes parts to the caller until the function has ended and all of them are there.
async fn pump(
    running: impl Future<Output = Result<Outcome, InvokeError>>,
    mut source: mpsc::Receiver<StreamPart>,
    mut assembly: Assembly,
) {
    let mut running = pin!(running);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(part) = source.recv() => assembly.take(part).await,
            outcome = &mut running => break outcome,
        }
    };
    // What was written before the end has been handed over by now.
    while let Ok(part) = source.try_recv() {
        assembly.take(part).await;
    }
    let end = match outcome {
        Ok(outcome) if outcome.function_error.is_some() => End::Failed(refusal::bad_gateway()),
        Ok(outcome) => End::Complete(outcome.payload),
        Err(error) => End::Failed(refusal::not_run(&error)),
    };
    assembly.end(end).await;
}

#[cfg(test)]
mod tests;
