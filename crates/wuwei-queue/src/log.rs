//! The log: records appended to segments, synced in batches, read back at the next start.
//!
//! It is the truth; all that is in memory can be built from it. Nothing that was written is ever written over. Whatever fails,
//! the next record goes into a new segment, whose header says which records before it count.

mod frame;
mod recovery;
mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use crate::files::{Files, LogFile};
use frame::Position;
pub(crate) use frame::frame_bytes;
pub use recovery::OpenError;
pub(crate) use recovery::Visit;
use segment::{START, Segment};

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A record as the log has it: what it says is for others to know.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// A record that is on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) sequence: u64,
    pub(crate) place: Place,
}

/// Why records are not on the disk.
#[derive(Debug, Error)]
pub(crate) enum AppendError {
    /// No space is left for another segment. Nothing of the records is written.
    #[error("no space is left for the log")]
    NoSpace,
    /// A write or a sync has failed. The records may be found at the next start, or not.
    #[error("cannot write the log")]
    Io(#[source] io::Error),
}

/// Why a record cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The disk does not give back what was written.
    #[error("the record at {0:?} is damaged")]
    Damaged(Place),
    /// The disk says so itself.
    #[error("cannot read the log")]
    Io(#[from] io::Error),
}

/// Segments that can be read; shared with those who read bodies.
#[derive(Debug, Default)]
pub(crate) struct Segments(RwLock<BTreeMap<u32, Segment>>);

impl Segments {
    /// Kind and payload of a record.
    pub(crate) fn read(&self, place: Place) -> Result<(u8, Vec<u8>), ReadError> {
        let segment = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&place.segment).cloned();
        // The file can be read on when the segment is removed meanwhile.
        let segment = segment.ok_or(ReadError::Damaged(place))?;
        let (header, payload) = segment.frame(u64::from(place.offset))?.ok_or(ReadError::Damaged(place))?;
        Ok((header.kind, payload))
    }

    fn insert(&self, segment: Segment) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(segment.number, segment);
    }

    fn remove(&self, number: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn get(&self, number: u32) -> Option<Segment> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// Numbers, oldest first.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }
}

/// The segment that is appended to.
#[derive(Debug)]
struct Current {
    segment: Segment,
    offset: u64,
}

/// A file that has its space, and waits to become a segment.
#[derive(Debug)]
struct Spare {
    name: String,
    file: Arc<dyn LogFile>,
}

/// The writer's side.
#[derive(Debug)]
pub(crate) struct Log {
    files: Arc<dyn Files>,
    segment_bytes: u64,
    segments: Arc<Segments>,
    /// None before the first record, and after a failure.
    current: Option<Current>,
    next_sequence: u64,
    next_number: u32,
    spares: VecDeque<Spare>,
    spares_made: u64,
    /// A name was taken away, and nobody knows whether that is on the disk: no further one may be.
    is_removal_unsure: bool,
}

impl Log {
    /// Appends records and waits for the disk. What is answered is there for good; when it is fewer than were given, the
    /// error says why.
    pub(crate) fn append(&mut self, frames: &[Frame]) -> (Vec<Written>, Option<AppendError>) {
        let mut written = Vec::with_capacity(frames.len());
        while written.len() < frames.len() {
            match self.append_part(&frames[written.len()..]) {
                Ok(part) => written.extend(part),
                Err(error) => {
                    if matches!(error, AppendError::Io(_)) {
                        // Written again behind a failed sync, good records would follow on nobody knows what.
                        self.current = None;
                    }
                    return (written, Some(error));
                }
            }
        }
        (written, None)
    }

    /// As many records as the current segment takes; at least one.
    fn append_part(&mut self, frames: &[Frame]) -> Result<Vec<Written>, AppendError> {
        let first_bytes = frames.first().map_or(0, |frame| frame_bytes(frame.payload.len()));
        let fits = |current: &Current| current.offset + first_bytes <= current.segment.length;
        if !self.current.as_ref().is_some_and(fits) {
            self.begin_segment()?;
        }
        let Some(current) = &mut self.current else { return Err(AppendError::NoSpace) };
        let batch = self.next_sequence;
        let (mut buffer, mut written) = (Vec::new(), Vec::new());
        for frame in frames {
            let offset = current.offset + buffer.len() as u64;
            if offset + frame_bytes(frame.payload.len()) > current.segment.length {
                break;
            }
            let sequence = batch + written.len() as u64;
            current.segment.put(&mut buffer, Position { sequence, batch }, frame.kind, &frame.payload);
            let offset = u32::try_from(offset).map_err(|error| AppendError::Io(io::Error::other(error)))?;
            written.push(Written { sequence, place: Place { segment: current.segment.number, offset } });
        }
        if written.is_empty() {
            return Err(AppendError::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a record is longer than a segment",
            )));
        }
        let file = &current.segment.file;
        file.write_at(&buffer, current.offset).and_then(|()| file.sync()).map_err(AppendError::Io)?;
        current.offset += buffer.len() as u64;
        self.next_sequence += written.len() as u64;
        Ok(written)
    }

    /// Has the next record begin a new segment, which is on the disk when this returns.
    ///
    /// All that is in the segment before is synced by now, or does not count.
    pub(crate) fn begin_segment(&mut self) -> Result<(), AppendError> {
        let spare = match self.spares.pop_front() {
            Some(spare) => spare,
            None => self.make_spare().map_err(no_space)?,
        };
        self.current = None;
        let number = self.next_number;
        // Also when it fails below: the name may be taken by then.
        self.next_number += 1;
        let begin = || -> io::Result<Segment> {
            let segment = Segment::begin(spare.file, number, self.next_sequence)?;
            self.files.rename(&spare.name, &segment::name(number))?;
            self.files.sync_directory()?;
            Ok(segment)
        };
        let segment = begin().map_err(AppendError::Io)?;
        self.segments.insert(segment.clone());
        self.current = Some(Current { segment, offset: START });
        Ok(())
    }

    /// Whether records can be appended without a new segment being begun first.
    pub(crate) fn has_segment(&self) -> bool {
        self.current.is_some()
    }

    /// Segments that can be begun whatever else fills the disk.
    #[cfg(test)]
    pub(crate) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Sets space aside until there are so many spares.
    pub(crate) fn keep_spares(&mut self, wanted: usize) -> io::Result<()> {
        while self.spares.len() < wanted {
            let spare = self.make_spare()?;
            self.spares.push_back(spare);
        }
        Ok(())
    }

    /// Gives back the space of spares beyond so many.
    pub(crate) fn give_up_spares(&mut self, wanted: usize) -> io::Result<()> {
        while self.spares.len() > wanted {
            let Some(spare) = self.spares.pop_back() else { break };
            self.files.remove(&spare.name)?;
        }
        Ok(())
    }

    fn make_spare(&mut self) -> io::Result<Spare> {
        self.spares_made += 1;
        let name = format!("{:010}{SPARE}", self.spares_made);
        let file = self.files.create(&name, self.segment_bytes)?;
        Ok(Spare { name, file })
    }

    /// Whether there is no segment at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The oldest segment, unless it is appended to.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let current = self.current.as_ref().map(|current| current.segment.number);
        let numbers = self.segments.numbers();
        // Without a current one the last may yet be the only one that says up to where records count.
        let is_last = numbers.len() < 2;
        numbers.first().copied().filter(|oldest| Some(*oldest) != current && !is_last)
    }

    /// Removes the oldest segment. Only in order, each on the disk before the next: what finishes an event is never
    /// lost before the event itself. Gives whether it was removed.
    pub(crate) fn remove_oldest(&mut self, number: u32) -> io::Result<bool> {
        if self.is_removal_unsure || self.oldest() != Some(number) {
            return Ok(false);
        }
        self.files.remove(&segment::name(number))?;
        self.segments.remove(number);
        self.is_removal_unsure = true;
        self.files.sync_directory()?;
        self.is_removal_unsure = false;
        Ok(true)
    }

    /// Calls for each record of a segment, from an offset on, until told to stop; gives where to go on, `None` at the end.
    ///
    /// Records that do not count are among them.
    pub(crate) fn walk(
        &self,
        number: u32,
        offset: u32,
        mut visit: impl FnMut(Visit<'_>) -> bool,
    ) -> io::Result<Option<u32>> {
        let Some(segment) = self.segments.get(number) else { return Ok(None) };
        let mut frames = segment.frames(u64::from(offset).max(START));
        while let Some((header, offset, payload)) = frames.next()? {
            let offset = u32::try_from(offset).map_err(io::Error::other)?;
            let place = Place { segment: number, offset };
            if !visit(Visit { sequence: header.sequence, place, kind: header.kind, payload }) {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Bytes that all segments take.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.0.read().unwrap_or_else(PoisonError::into_inner).values().map(|segment| segment.length).sum()
    }

    /// Length of a new segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// For those who read bodies.
    pub(crate) fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments)
    }

    /// Longest payload that a segment takes.
    pub(crate) fn payload_bytes_max(&self) -> u64 {
        self.segment_bytes.saturating_sub(START + frame_bytes(0)) / frame::ALIGNMENT as u64 * frame::ALIGNMENT as u64
    }
}

const SPARE: &str = ".spare";

fn no_space(error: io::Error) -> AppendError {
    if is_full(&error) { AppendError::NoSpace } else { AppendError::Io(error) }
}

/// Whether an error says that the disk, or the quota, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
