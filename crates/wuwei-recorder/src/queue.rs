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

use crate::files::Retentions;
use crate::holdings::LogLimits;
use crate::rate::Rate;
use crate::record::{Level, RecordView};

/// How long records are collected before they are written together: the writer is woken that often at most, and not by
/// each line.
const COLLECTING: Duration = Duration::from_millis(5);
/// What ends the collecting early: so much waits, in bytes.
const COLLECTED_BYTES_MAX: usize = 1024 * 1024;

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
    pub(crate) time_ms: i64,
    pub(crate) stream: Arc<str>,
    pub(crate) request_id: Option<Arc<str>>,
    pub(crate) level: Level,
    pub(crate) message: String,
    /// Bytes of its stream that wait; less by its own weight when it is gone.
    pub(crate) backlog: Backlog,
}

/// Bytes that wait, of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Counts a record of this message in.
    pub(crate) fn of(&self, message: &str) -> Self {
        self.0.fetch_add(message.len() + RECORD_OVERHEAD_BYTES, Ordering::Relaxed);
        self.clone()
    }
}

impl QueuedRecord {
    /// What it counts as, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.message.len() + RECORD_OVERHEAD_BYTES
    }

    pub(crate) fn view(&self) -> RecordView<'_> {
        RecordView {
            time_ms: self.time_ms,
            stream: &self.stream,
            request_id: self.request_id.as_deref(),
            level: self.level,
            message: &self.message,
        }
    }
}

impl Drop for QueuedRecord {
    fn drop(&mut self) {
        self.backlog.0.fetch_sub(self.weight(), Ordering::Relaxed);
    }
}

/// Something that is alone is never too much. The record itself is in the backlog of its stream already.
fn has_room(state: &State, record: &QueuedRecord, limits: Limits) -> bool {
    let weight = record.weight();
    let backlog = record.backlog.0.load(Ordering::Relaxed);
    let fits_stream = backlog <= limits.stream_bytes || backlog == weight;
    let fits_total = state.bytes == 0 || state.bytes + weight <= limits.total_bytes;
    fits_stream && fits_total
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
        /// Only this stream of it.
        stream: Option<String>,
        /// The answer.
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Keep the logs of these functions for so many days, and all others for the usual time.
    Retain {
        /// By directory.
        days: Retentions,
        /// The answer.
        done: oneshot::Sender<io::Result<()>>,
    },
}

/// The queue. Streams put in, one writer takes out.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// Something to do, or closed: only told when the writer waits for that.
    filled: Condvar,
    /// Room again, or closed.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// Somebody waits for an answer.
    is_urgent: bool,
    is_closed: bool,
    writer: WriterIs,
    /// Streams that wait for room.
    waiting_for_room: usize,
}

/// What the writer is doing, which decides what it is woken for: a wake-up is a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WriterIs {
    #[default]
    Working,
    /// Waits for anything at all.
    Idle,
    /// Waits for more, for a moment.
    Collecting,
}

impl State {
    /// Whether what waits should not wait any longer.
    fn is_due(&self) -> bool {
        self.is_urgent || self.is_closed || self.bytes >= COLLECTED_BYTES_MAX
    }

    /// Whether the writer has to be told of what has just come.
    fn must_wake(&self) -> bool {
        match self.writer {
            WriterIs::Working => false,
            WriterIs::Idle => true,
            WriterIs::Collecting => self.is_due(),
        }
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// A line of a function's; false when there is no room for it.
    pub(crate) fn offer(&self, record: QueuedRecord) -> bool {
        let state = self.lock();
        let has_room = has_room(&state, &record, self.limits);
        if has_room {
            let weight = record.weight();
            self.push(state, Item::Record(record), weight);
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
        let weight = record.weight();
        let has_no_room =
            |state: &State| !state.is_closed && state.bytes > 0 && state.bytes + weight > 2 * self.limits.total_bytes;
        let mut state = self.lock();
        while has_no_room(&state) {
            state.waiting_for_room += 1;
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting_for_room -= 1;
        }
        self.push(state, Item::Record(record), weight);
    }

    /// A request of somebody who waits for its answer, which is what bounds their number.
    pub(crate) fn request(&self, item: Item) {
        let mut state = self.lock();
        state.is_urgent = true;
        self.push(state, item, 0);
    }

    /// The lock goes before the writer is woken, or it would wait for that first.
    fn push(&self, mut state: MutexGuard<'_, State>, item: Item, weight: usize) {
        // Nobody would take it out again; dropping it tells those who wait for an answer.
        if state.is_closed {
            return;
        }
        state.items.push_back(item);
        state.bytes += weight;
        let must_wake = state.must_wake();
        if must_wake {
            state.writer = WriterIs::Working;
        }
        drop(state);
        if must_wake {
            self.filled.notify_one();
        }
    }

    /// Everything that waits, collected for a moment; empty after `patience` without anything. `None` once closed and empty.
    pub(crate) fn take(&self, patience: Duration) -> Option<VecDeque<Item>> {
        let mut state =
            self.wait(self.lock(), WriterIs::Idle, patience, |state| !state.items.is_empty() || state.is_closed);
        if !state.items.is_empty() {
            state = self.wait(state, WriterIs::Collecting, COLLECTING, State::is_due);
        }
        if state.items.is_empty() && state.is_closed {
            return None;
        }
        state.bytes = 0;
        state.is_urgent = false;
        let items = std::mem::take(&mut state.items);
        let is_awaited = state.waiting_for_room > 0;
        drop(state);
        if is_awaited {
            self.emptied.notify_all();
        }
        Some(items)
    }

    fn wait<'queue>(
        &self,
        mut state: MutexGuard<'queue, State>,
        as_what: WriterIs,
        patience: Duration,
        is_over: impl Fn(&State) -> bool,
    ) -> MutexGuard<'queue, State> {
        let waits_on = |state: &mut State| {
            let waits_on = !is_over(state);
            state.writer = if waits_on { as_what } else { WriterIs::Working };
            waits_on
        };
        state = self.filled.wait_timeout_while(state, patience, waits_on).unwrap_or_else(PoisonError::into_inner).0;
        state.writer = WriterIs::Working;
        state
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
