//! Those who watch a function's log as it is written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use wuwei_model::FunctionKey;

use crate::record::{LogRecord, RecordView};

/// Records that a follower may lag behind; older ones are lost to it, and it is told how many.
const LAG_MAX: usize = 4_096;

/// A channel for each function that somebody follows.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    channels: Mutex<HashMap<FunctionKey, broadcast::Sender<LogRecord>>>,
}

impl Followers {
    pub(crate) fn follow(&self, function: &FunctionKey) -> broadcast::Receiver<LogRecord> {
        let mut channels = self.lock();
        // Channels that everybody has left go when the next one comes.
        channels.retain(|_, channel| channel.receiver_count() > 0);
        channels.entry(function.clone()).or_insert_with(|| broadcast::channel(LAG_MAX).0).subscribe()
    }

    /// Whether anybody follows anything: spares copies of records.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Shows a record to the followers of its function, if there are any.
    pub(crate) fn show(&self, function: &FunctionKey, record: RecordView<'_>) {
        let mut channels = self.lock();
        let has_left = channels.get(function).is_some_and(|channel| channel.send(record.to_record()).is_err());
        if has_left {
            channels.remove(function);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FunctionKey, broadcast::Sender<LogRecord>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
