//! `GET logs/<function>?follow=1`: records as they are written, a line of JSON each, until the caller leaves.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use wuwei_model::FunctionKey;
use wuwei_recorder::{Level, LogRecord};

use super::logs::document;
use crate::gateway::Parts;
use crate::lambda::ApiError;
use crate::wire::{Answer, AnswerBody};

/// Lines that wait for a slow reader; behind them the recorder drops, and says how many.
const QUEUE: usize = 256;

/// Begins with the records since `since_ms` (none when it is not given), at most `limit`.
pub(super) async fn answer(
    parts: &Arc<Parts>,
    key: FunctionKey,
    since_ms: Option<i64>,
    limit: usize,
) -> Result<Answer, ApiError> {
    // First the subscription, then the past: what is written between is in both, and `Past` takes it out once.
    let receiver = parts.recorder.follow(&key);
    let past = match since_ms {
        Some(since_ms) => {
            parts.recorder.flush().await;
            parts.recorder.read(&key, since_ms, limit).await.map_err(|error| ApiError::platform(&error))?
        }
        None => Vec::new(),
    };
    let (sender, lines) = mpsc::channel(QUEUE);
    let stopping = parts.stopping.subscribe();
    parts.tasks.spawn(forward(past, receiver, sender, stopping));
    let mut answer = Answer::empty(StatusCode::OK);
    answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")));
    answer.body = AnswerBody::Stream(lines);
    Ok(answer)
}

async fn forward(
    past: Vec<LogRecord>,
    mut receiver: broadcast::Receiver<LogRecord>,
    sender: mpsc::Sender<Bytes>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut seen = Past::default();
    for record in past {
        let text = line(&record);
        seen.0.push_back(record);
        if sender.send(text).await.is_err() {
            return;
        }
    }
    loop {
        let received = tokio::select! {
            received = receiver.recv() => received,
            () = sender.closed() => return,
            _stop = stopping.wait_for(|stop| *stop) => return,
        };
        let text = match received {
            Ok(record) if seen.had(&record) => continue,
            Ok(record) => line(&record),
            Err(RecvError::Lagged(lost)) => line(&lost_record(lost)),
            Err(RecvError::Closed) => return,
        };
        tokio::select! {
            sent = sender.send(text) => if sent.is_err() { return },
            _stop = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// Records that were sent from the past and may come a second time.
#[derive(Default)]
struct Past(VecDeque<LogRecord>);

impl Past {
    /// Whether a record has been sent; each is recognised once.
    fn had(&mut self, record: &LogRecord) -> bool {
        let same = |other: &LogRecord| {
            other.time_ms == record.time_ms && other.stream == record.stream && other.message == record.message
        };
        match self.0.iter().position(same) {
            Some(index) => {
                self.0.remove(index);
                true
            }
            None => false,
        }
    }
}

fn lost_record(lost: u64) -> LogRecord {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    LogRecord {
        time_ms: i64::try_from(now).unwrap_or(i64::MAX),
        stream: String::new(),
        request_id: None,
        level: Level::Platform,
        message: format!("{lost} records are left out here: the reader was too slow"),
    }
}

fn line(record: &LogRecord) -> Bytes {
    Bytes::from(format!("{}\n", document(record)))
}

#[cfg(test)]
mod tests {
    use super::forward;
    use tokio::sync::{broadcast, mpsc, watch};
    use wuwei_recorder::{Level, LogRecord};

    fn record(message: &str) -> LogRecord {
        LogRecord {
            time_ms: 1,
            stream: "s".to_owned(),
            request_id: None,
            level: Level::Function,
            message: message.to_owned(),
        }
    }

    async fn next(lines: &mut mpsc::Receiver<bytes::Bytes>) -> Option<String> {
        let line = lines.recv().await?;
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        Some(value["message"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn the_past_comes_first_and_nothing_comes_twice() {
        let (write, receiver) = broadcast::channel(8);
        let (sender, mut lines) = mpsc::channel(8);
        let stop = watch::Sender::new(false);
        for message in ["a", "a", "b"] {
            write.send(record(message)).unwrap();
        }
        let task = tokio::spawn(forward(vec![record("a")], receiver, sender, stop.subscribe()));
        for expected in ["a", "a", "b"] {
            assert_eq!(next(&mut lines).await.as_deref(), Some(expected));
        }
        stop.send_replace(true);
        assert_eq!(next(&mut lines).await, None);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_lost() {
        let (write, receiver) = broadcast::channel(1);
        let (sender, mut lines) = mpsc::channel(8);
        let stop = watch::Sender::new(false);
        for message in ["a", "b", "c"] {
            write.send(record(message)).unwrap();
        }
        drop(write);
        forward(Vec::new(), receiver, sender, stop.subscribe()).await;
        assert!(next(&mut lines).await.unwrap().starts_with("2 records are left out"));
        assert_eq!(next(&mut lines).await.as_deref(), Some("c"));
    }

    #[tokio::test]
    async fn following_ends_when_the_caller_leaves() {
        let (_write, receiver) = broadcast::channel(1);
        let (sender, lines) = mpsc::channel(8);
        let stop = watch::Sender::new(false);
        drop(lines);
        forward(Vec::new(), receiver, sender, stop.subscribe()).await;
    }
}
