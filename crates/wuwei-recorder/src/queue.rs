//! The bounded queue between the streams and the writing thread.
//!
//! Its rule when full, or when a function is faster than its rate: the function's lines are refused (the stream counts them and says so in the log), the
//! platform's wait, for they are few and the log is worth little without them.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use wuwei_model::FunctionKey;

use crate::holdings::LogLimits;
use crate::rate::Rate;
use crate::record::LogRecord;

/// What a record weighs beside its message, in bytes: names, and the queue's own bookkeeping.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// How much may wait, come in, and stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of one stream: what keeps a noisy function from taking the room of all others.
    pub(crate) stream_bytes: usize,
    /// Of all functions' lines together. The platform's lines have as much again.
    pub(crate) total_bytes: usize,
    /// Of one function over time.
    pub(crate) rate: Rate,
    /// What may stay on the disk.
    pub(crate) disk: LogLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream_bytes: 8 * 1024 * 1024,
            total_bytes: 32 * 1024 * 1024,
            rate: Rate::default(),
            disk: LogLimits::default(),
        }
    }
}

/// A record on its way to the disk.
#[derive(Debug)]
pub(crate) struct QueuedRecord {
    pub(crate) function: Arc<FunctionKey>,
    pub(crate) record: LogRecord,
    /// Bytes of its stream that wait; less by its own weight when it is gone.
    backlog: Arc<AtomicUsize>,
}

impl QueuedRecord {
    pub(crate) fn new(function: Arc<FunctionKey>, record: LogRecord, backlog: Arc<AtomicUsize>) -> Self {
        backlog.fetch_add(weight_of(&record), Ordering::Relaxed);
        Self { function, record, backlog }
    }

    /// What it counts as, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight_of(&self.record)
    }
}

impl Drop for QueuedRecord {
    fn drop(&mut self) {
        self.backlog.fetch_sub(weight_of(&self.record), Ordering::Relaxed);
    }
}

/// Something that is alone is never too much. The record itself is in the backlog of its stream already.
fn has_room(state: &State, record: &QueuedRecord, limits: Limits) -> bool {
    let weight = weight_of(&record.record);
    let backlog = record.backlog.load(Ordering::Relaxed);
    let fits_stream = backlog <= limits.stream_bytes || backlog == weight;
    let fits_total = state.bytes == 0 || state.bytes + weight <= limits.total_bytes;
    fits_stream && fits_total
}

fn weight_of(record: &LogRecord) -> usize {
    record.message.len() + RECORD_OVERHEAD_BYTES
}

/// One thing for the writer to do, in the order of the queue.
#[derive(Debug)]
pub(crate) enum Item {
    /// Append it.
    Record(QueuedRecord),
    /// Say when everything before is in the files, and (`sync`) on the disk.
    Barrier {
        /// Whether to wait for the disk.
        sync: bool,
        /// The answer.
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Remove the logs of a function.
    Forget {
        /// Which.
        function: FunctionKey,
        /// The answer.
        done: oneshot::Sender<io::Result<()>>,
    },
}

/// The queue. Streams put in, one writer takes out.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// Something to do, or closed.
    filled: Condvar,
    /// Room again, or closed.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// A line of a function's; false when there is no room for it.
    pub(crate) fn offer(&self, record: QueuedRecord) -> bool {
        let mut state = self.lock();
        let has_room = has_room(&state, &record, self.limits);
        if has_room {
            let weight = weight_of(&record.record);
            self.push(&mut state, Item::Record(record), weight);
        }
        has_room
    }

    /// Whether there is room for this record and a good deal more: so that a stream that has lost lines has a few
    /// gaps, and not one after every line.
    pub(crate) fn has_ample_room_for(&self, record: &QueuedRecord) -> bool {
        let Limits { stream_bytes, total_bytes, .. } = self.limits;
        let ample = Limits { stream_bytes: stream_bytes / 2, total_bytes: total_bytes / 2, ..self.limits };
        has_room(&self.lock(), record, ample)
    }

    /// A line of the platform's: blocks while there is no room even for these. Never for long: the writer needs
    /// nothing but the disk.
    pub(crate) fn put(&self, record: QueuedRecord) {
        let weight = weight_of(&record.record);
        let has_no_room = |state: &mut State| {
            !state.is_closed && state.bytes > 0 && state.bytes + weight > 2 * self.limits.total_bytes
        };
        let state = self.emptied.wait_while(self.lock(), has_no_room);
        self.push(&mut state.unwrap_or_else(PoisonError::into_inner), Item::Record(record), weight);
    }

    /// A request of somebody who waits for its answer, which is what bounds their number.
    pub(crate) fn request(&self, item: Item) {
        self.push(&mut self.lock(), item, 0);
    }

    fn push(&self, state: &mut State, item: Item, weight: usize) {
        // Nobody would take it out again; dropping it tells those who wait for an answer.
        if !state.is_closed {
            state.items.push_back(item);
            state.bytes += weight;
            self.filled.notify_one();
        }
    }

    /// Everything that waits; empty after `patience` without anything. `None` once closed and empty.
    pub(crate) fn take(&self, patience: Duration) -> Option<VecDeque<Item>> {
        let is_idle = |state: &mut State| state.items.is_empty() && !state.is_closed;
        let waited = self.filled.wait_timeout_while(self.lock(), patience, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.items.is_empty() && state.is_closed {
            return None;
        }
        state.bytes = 0;
        self.emptied.notify_all();
        Some(std::mem::take(&mut state.items))
    }

    /// Takes nothing more; what waits is still given out.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// The writer is gone: nothing will be taken out any more.
    pub(crate) fn abandon(&self) {
        self.close();
        self.lock().items.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
