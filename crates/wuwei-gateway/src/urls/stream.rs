//! Answers that reach the caller while the function still writes them.

mod assembly;

use std::sync::Arc;

use tokio::sync::oneshot;
use wuwei_engine::{Call, StreamSink};
use wuwei_model::FunctionVersion;

use super::refusal;
use crate::gateway::Parts;
use crate::streaming::pump;
use crate::wire::Answer;
use assembly::Assembly;

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

#[cfg(test)]
mod tests;
