//! The queue of one machine: the log, the machine in memory, and the thread between them.

mod compaction;
mod job;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;

use crate::clock::{Clock, milliseconds};
use crate::files::Files;
use crate::log::{Log, OpenError, ReadError, Segments, frame_bytes};
use crate::machine::{Claim, Counts, DeadLetter, Lease, LeaseLost, Machine, retry_record};
use crate::policy::Counting;
use crate::queue::{Claimed, EnqueueError, EventQueue, NewEvent, QueueError};
use crate::record::{Accepted, Cause, EventId, Lane, MOVED_BYTES, Record};
use job::{Arrival, JobError, Pending};
use writer::Writer;

/// Unit in which bodies that wait for the disk are counted.
const PERMIT_BYTES: usize = 1_024;
/// Bodies that wait for the disk may take so many of them: 64 MiB. Whoever has one more waits.
const PERMITS: usize = 65_536;
/// Ends of attempts that may wait for the disk. Whoever has one more waits.
const ENDS_MAX: usize = 16_384;
/// How long an event is left alone that the disk would not give back.
const READ_AGAIN_MS: u64 = 1_000;

/// Knobs.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Length of a segment; it must hold more than one event of the largest size.
    pub segment_bytes: u64,
    /// Events that may be there at a time, those that were given up included.
    pub events_max: usize,
    /// Longest content.
    pub content_bytes_max: usize,
}

impl Default for QueueOptions {
    /// 64 MiB, two million events, 1 MiB and what belongs to it.
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, events_max: 2_000_000, content_bytes_max: (1 << 20) + (64 << 10) }
    }
}

/// Events in a log on the disk. Dropping it writes what waits and joins the thread.
#[derive(Debug)]
pub struct DurableQueue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Between those who call and the thread.
#[derive(Debug)]
struct Shared {
    options: QueueOptions,
    clock: Arc<dyn Clock>,
    machine: Mutex<Machine>,
    segments: Arc<Segments>,
    content_bytes_max: u64,
    pending: Mutex<Pending>,
    /// Something to do, or closed.
    filled: Condvar,
    /// Space for events on their way to the disk.
    event_space: Arc<Semaphore>,
    /// Space for ends of attempts, of its own: events must not shut them out.
    end_space: Arc<Semaphore>,
    /// The disk has no room for events.
    is_full: AtomicBool,
    /// The disk has failed, and no new segment could be begun since.
    has_failed: AtomicBool,
    changed: Notify,
}

impl DurableQueue {
    /// Reads what is there and starts the thread.
    ///
    /// # Errors
    /// [`OpenError`] when the log cannot be read, or is damaged; it is left as it is.
    pub fn open(files: Arc<dyn Files>, clock: Arc<dyn Clock>, options: QueueOptions) -> Result<Self, OpenError> {
        let (shared, writer) = assemble(files, clock, options)?;
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has a record written, for whom an event is settled already.
    async fn end(&self, record: Record) -> Result<(), QueueError> {
        let id = record.settles();
        let space = Arc::clone(&self.shared.end_space).acquire_owned().await;
        let Ok(space) = space else {
            self.shared.unsettle(id);
            return Err(QueueError::Unwritten);
        };
        let answer = self.shared.submit(record, space, None);
        match answer.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(JobError::Full | JobError::Unwritten)) | Err(_) => Err(QueueError::Unwritten),
        }
    }

    /// Content of an event, wherever it is by now.
    async fn content(&self, id: EventId) -> Result<(Arc<Lane>, Bytes), ReadError> {
        let shared = Arc::clone(&self.shared);
        let read = spawn_blocking(move || shared.read(id)).await;
        read.map_err(std::io::Error::other)?
    }
}

/// The parts without the thread.
fn assemble(
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    options: QueueOptions,
) -> Result<(Arc<Shared>, Writer), OpenError> {
    let mut machine = Machine::default();
    let (log, recovered) = Log::open(files, options.segment_bytes, |visit| {
        let Some(record) = Record::decode(visit.kind, visit.payload) else { return false };
        machine.apply(visit.sequence, visit.place, frame_bytes(visit.payload.len()), &record);
        true
    })?;
    machine.start();
    if recovered.torn_bytes > 0 {
        tracing::warn!(bytes = recovered.torn_bytes, "the log of events ends in a write that was never finished");
    }
    // It must fit into a segment also when it is moved.
    let payload_bytes_max = log.payload_bytes_max().saturating_sub(MOVED_BYTES);
    let content_bytes_max = payload_bytes_max.min(options.content_bytes_max as u64);
    let shared = Arc::new(Shared {
        options,
        clock,
        machine: Mutex::new(machine),
        segments: log.segments(),
        content_bytes_max,
        pending: Mutex::default(),
        filled: Condvar::new(),
        event_space: Arc::new(Semaphore::new(PERMITS)),
        end_space: Arc::new(Semaphore::new(ENDS_MAX)),
        is_full: AtomicBool::new(false),
        has_failed: AtomicBool::new(false),
        changed: Notify::new(),
    });
    let mut writer = Writer::new(Arc::clone(&shared), log);
    writer.prepare();
    Ok((shared, writer))
}

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsettle(&self, id: Option<EventId>) {
        if let Some(id) = id {
            self.machine().unsettle(id);
        }
    }

    /// Room for one more event, until what is returned is dropped.
    fn arrive(self: &Arc<Self>) -> Result<Arrival, EnqueueError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(EnqueueError::Unwritten);
        }
        if self.is_full.load(Ordering::Acquire) {
            return Err(EnqueueError::DiskFull);
        }
        let machine = self.machine();
        let mut pending = self.pending();
        if machine.len() + pending.arriving >= self.options.events_max {
            return Err(EnqueueError::Backlog);
        }
        pending.arriving += 1;
        drop((pending, machine));
        Ok(Arrival(Arc::clone(self)))
    }

    fn read(&self, id: EventId) -> Result<(Arc<Lane>, Bytes), ReadError> {
        let gone = || ReadError::Io(std::io::ErrorKind::NotFound.into());
        loop {
            let place = self.machine().place(id).ok_or_else(gone)?;
            let damaged = match self.segments.read(place) {
                Ok((kind, payload)) => {
                    let event = Record::decode(kind, &payload).and_then(|record| record.whole_event(id.0));
                    match event.filter(|(found, _)| *found == id) {
                        Some((_, Accepted { lane, content, .. })) => return Ok((lane, content)),
                        None => ReadError::Damaged(place),
                    }
                }
                Err(damaged @ ReadError::Damaged(_)) => damaged,
                Err(error @ ReadError::Io(_)) => return Err(error),
            };
            // It may have been moved while it was looked for.
            if self.machine().place(id) == Some(place) {
                return Err(damaged);
            }
        }
    }

    /// Marks an attempt as ended, in favour of a record that will say how.
    fn settle(&self, lease: Lease) -> Result<crate::policy::Progress, QueueError> {
        let now_ms = self.clock.now_ms();
        self.machine().settle(lease, now_ms).map_err(|LeaseLost| QueueError::LeaseLost)
    }
}

impl Drop for DurableQueue {
    fn drop(&mut self) {
        self.shared.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the log of events panicked");
        }
    }
}

#[async_trait]
impl EventQueue for DurableQueue {
    async fn enqueue(&self, event: NewEvent) -> Result<EventId, EnqueueError> {
        let NewEvent { lane, content } = event;
        let accepted = Accepted { lane, accepted_at_ms: self.shared.clock.now_ms(), content };
        if !accepted.lane.is_encodable() || accepted.payload_bytes() as u64 > self.shared.content_bytes_max {
            return Err(EnqueueError::TooLarge);
        }
        let arrival = self.shared.arrive()?;
        let permits = u32::try_from(accepted.payload_bytes().div_ceil(PERMIT_BYTES).min(PERMITS));
        let permits = permits.map_err(|_too_many| EnqueueError::TooLarge)?;
        let space = Arc::clone(&self.shared.event_space).acquire_many_owned(permits).await;
        let space = space.map_err(|_closed| EnqueueError::Unwritten)?;
        let answer = self.shared.submit(Record::Accepted(accepted), space, Some(arrival));
        match answer.await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(JobError::Full)) => Err(EnqueueError::DiskFull),
            Ok(Err(JobError::Unwritten)) | Err(_) => Err(EnqueueError::Unwritten),
        }
    }

    async fn claim(&self, lane: &Lane, lease: Duration) -> Result<Option<Claimed>, QueueError> {
        loop {
            let now_ms = self.shared.clock.now_ms();
            let until_ms = now_ms.saturating_add(milliseconds(lease));
            let claim = self.shared.machine().claim(lane, now_ms, until_ms);
            let Some(Claim { lease, progress, place }) = claim else { return Ok(None) };
            match self.content(lease.id).await {
                Ok((lane, content)) => return Ok(Some(Claimed { lease, lane, progress, content })),
                Err(error @ ReadError::Damaged(_)) => {
                    tracing::error!(%error, event = lease.id.0, function = lane.function.name, "an event is lost");
                    self.dead(lease, Cause::Damaged).await?;
                }
                Err(ReadError::Io(error)) => {
                    tracing::error!(%error, segment = place.segment, "an event cannot be read");
                    let due_at_ms = now_ms.saturating_add(READ_AGAIN_MS);
                    let given_back = self.shared.machine().give_back(lease, now_ms, due_at_ms);
                    given_back.map_err(|LeaseLost| QueueError::LeaseLost)?;
                    return Err(QueueError::Unread);
                }
            }
        }
    }

    async fn extend(&self, lease: Lease, by: Duration) -> Result<(), QueueError> {
        let now_ms = self.shared.clock.now_ms();
        let until_ms = now_ms.saturating_add(milliseconds(by));
        self.shared.machine().extend(lease, now_ms, until_ms).map_err(|LeaseLost| QueueError::LeaseLost)
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.shared.settle(lease)?;
        self.end(Record::Finished { id: lease.id }).await
    }

    async fn retry_at(&self, lease: Lease, due_at_ms: u64, counting: Counting) -> Result<(), QueueError> {
        match counting {
            Counting::Counted => {
                let progress = self.shared.settle(lease)?;
                self.end(retry_record(lease.id, progress, due_at_ms)).await
            }
            Counting::Free => {
                let now_ms = self.shared.clock.now_ms();
                let given_back = self.shared.machine().give_back(lease, now_ms, due_at_ms);
                self.shared.changed.notify_one();
                given_back.map_err(|LeaseLost| QueueError::LeaseLost)
            }
        }
    }

    async fn dead(&self, lease: Lease, cause: Cause) -> Result<(), QueueError> {
        self.shared.settle(lease)?;
        let at_ms = self.shared.clock.now_ms();
        self.end(Record::Dead { id: lease.id, cause, at_ms }).await
    }

    async fn dead_letters(&self, after: Option<EventId>, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.shared.machine().dead_letters(after, limit))
    }

    async fn dead_content(&self, id: EventId) -> Result<Bytes, QueueError> {
        self.shared.machine().dead_letter(id).ok_or(QueueError::NotFound)?;
        self.content(id).await.map(|(_, content)| content).map_err(|error| {
            tracing::error!(%error, event = id.0, "a dead letter cannot be read");
            QueueError::Unread
        })
    }

    async fn redrive(&self, id: EventId) -> Result<(), QueueError> {
        self.shared.machine().take_dead(id).ok_or(QueueError::NotFound)?;
        let at_ms = self.shared.clock.now_ms();
        self.end(Record::Redriven { id, at_ms }).await
    }

    async fn remove(&self, id: EventId) -> Result<(), QueueError> {
        self.shared.machine().take_dead(id).ok_or(QueueError::NotFound)?;
        self.end(Record::Finished { id }).await
    }

    fn due_lanes(&self) -> Vec<Arc<Lane>> {
        let now_ms = self.shared.clock.now_ms();
        self.shared.machine().due_lanes(now_ms)
    }

    fn next_due_ms(&self) -> Option<u64> {
        let now_ms = self.shared.clock.now_ms();
        self.shared.machine().next_due_ms(now_ms)
    }

    async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    fn counts(&self) -> Counts {
        self.shared.machine().counts()
    }
}

#[cfg(test)]
mod tests;
