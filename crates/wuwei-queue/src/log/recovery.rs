//! Reading the log back at a start.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::segment::{self, Frames, START, Segment};
use super::{Current, Log, Place, SPARE, Segments};
use crate::files::Files;

/// Why the log cannot be read. What is in it is left as it is.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A file cannot be listed, opened, read or synced.
    #[error("cannot read the log of events")]
    Io(#[from] io::Error),
    /// What was on the disk for certain is not there any more.
    #[error("the log of events is damaged: segment {segment} has no whole record {sequence} at byte {offset}")]
    Damaged {
        /// Number of the segment.
        segment: u32,
        /// Sequence of the record that is missing.
        sequence: u64,
        /// Where it should be.
        offset: u64,
    },
    /// The file is not a segment of this format.
    #[error("the log of events is damaged: the header of segment {0} cannot be read")]
    Header(u32),
    /// A whole record that says nothing known: of a later version, perhaps.
    #[error("the log of events has a record {sequence} that cannot be understood")]
    Record {
        /// Its sequence.
        sequence: u64,
    },
    /// A segment is there that builds on records which no segment has.
    #[error("the log of events is damaged: records {from} to {to} are missing, before segment {segment}")]
    Missing {
        /// Number of the segment that follows on the hole.
        segment: u32,
        /// First record that is missing.
        from: u64,
        /// Last record that is missing.
        to: u64,
    },
}

/// A record, as it is read back.
#[derive(Debug)]
pub(crate) struct Visit<'log> {
    pub(crate) sequence: u64,
    pub(crate) place: Place,
    pub(crate) kind: u8,
    pub(crate) payload: &'log [u8],
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) records: u64,
    /// At the end of the log, of writes that were never acknowledged.
    pub(crate) torn_bytes: u64,
}

impl Log {
    /// Reads the whole log, and calls for each record in order. `visit` says whether it understands the record.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        segment_bytes: u64,
        mut visit: impl FnMut(Visit<'_>) -> bool,
    ) -> Result<(Self, Recovered), OpenError> {
        let mut numbers = Vec::new();
        for name in files.list()? {
            if let Some(number) = segment::number_of(&name) {
                numbers.push(number);
            } else if name.ends_with(SPARE) {
                files.remove(&name)?;
            }
        }
        numbers.sort_unstable();
        let segments = open_segments(&*files, &numbers)?;
        if let Some(last) = segments.last() {
            // What is there may be in memory only, and later records build on it.
            last.file.settle()?;
        }
        let mut reading = Reading { sequence: segments.first().map_or(1, |first| first.first_sequence), records: 0 };
        let mut end = START;
        for (position, segment) in segments.iter().enumerate() {
            end = reading.read(segment, segments.get(position + 1), &mut visit)?;
        }
        let torn_bytes = segments.last().map_or(Ok(0), |last| torn_bytes(last, end))?;
        let mut log = Self {
            files,
            segment_bytes,
            segments: Arc::new(Segments::default()),
            current: None,
            next_sequence: reading.sequence,
            next_number: numbers.last().map_or(1, |last| last + 1),
            spares: std::collections::VecDeque::new(),
            spares_made: 0,
            is_removal_unsure: false,
        };
        if torn_bytes == 0 {
            log.current = segments.last().map(|last| Current { segment: last.clone(), offset: end });
        }
        // The removal of a segment must be on the disk before that of the next.
        log.files.sync_directory()?;
        for segment in segments {
            log.segments.insert(segment);
        }
        Ok((log, Recovered { records: reading.records, torn_bytes }))
    }
}

fn open_segments(files: &dyn Files, numbers: &[u32]) -> Result<Vec<Segment>, OpenError> {
    let open = |number: &u32| {
        let file = files.open(&segment::name(*number))?;
        Segment::open(file, *number)?.ok_or(OpenError::Header(*number))
    };
    numbers.iter().map(open).collect()
}

struct Reading {
    /// Of the record that comes next.
    sequence: u64,
    records: u64,
}

impl Reading {
    /// Reads a segment up to where the next one begins, or as far as it is whole when it is the last; gives where that
    /// ends.
    fn read(
        &mut self,
        segment: &Segment,
        next: Option<&Segment>,
        visit: &mut impl FnMut(Visit<'_>) -> bool,
    ) -> Result<u64, OpenError> {
        let until = next.map(|next| next.first_sequence);
        let mut frames = segment.frames(START);
        while until.is_none_or(|until| self.sequence < until) {
            let start = frames.offset;
            let sequence = self.sequence;
            let Some((header, offset, payload)) = frames.next()? else { break };
            if header.sequence != sequence {
                frames.offset = start;
                break;
            }
            let offset = u32::try_from(offset).map_err(io::Error::other)?;
            let place = Place { segment: segment.number, offset };
            if !visit(Visit { sequence, place, kind: header.kind, payload }) {
                return Err(OpenError::Record { sequence });
            }
            self.sequence += 1;
            self.records += 1;
        }
        let end = frames.offset;
        let is_short = match next {
            Some(next) if next.first_sequence < segment.first_sequence => return Err(OpenError::Header(next.number)),
            Some(next) if self.sequence < next.first_sequence && !frames.skip_zeros()? => {
                let (from, to) = (self.sequence, next.first_sequence - 1);
                return Err(OpenError::Missing { segment: next.number, from, to });
            }
            Some(next) => self.sequence < next.first_sequence,
            None => self.has_synced_record_behind(frames)?,
        };
        if is_short {
            return Err(OpenError::Damaged { segment: segment.number, sequence: self.sequence, offset: end });
        }
        Ok(end)
    }

    /// Whether a whole record further on was synced later than the one that is missing here.
    fn has_synced_record_behind(&self, mut frames: Frames<'_>) -> io::Result<bool> {
        while frames.skip_zeros()? {
            match frames.next()? {
                Some((header, _, _)) if header.batch > self.sequence => return Ok(true),
                Some(_) => {}
                None => frames.offset += super::frame::ALIGNMENT as u64,
            }
        }
        Ok(false)
    }
}

/// Bytes from the end of the log to the last that is not zero.
fn torn_bytes(segment: &Segment, end: u64) -> io::Result<u64> {
    let mut frames = segment.frames(end);
    let mut torn = 0;
    while frames.skip_zeros()? {
        frames.offset += super::frame::ALIGNMENT as u64;
        torn = frames.offset - end;
    }
    Ok(torn)
}
