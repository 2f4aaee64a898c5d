//! Segments: the files of the log, `<number>.segment`.
//!
//! A header of 64 bytes, then frames, then zeros. A segment gets its name only when its header is on the disk, and the
//! next one only when all of this one is: so what a crash has torn is always at the end of the last.

use std::io;
use std::sync::Arc;

use super::frame::{self, HEADER_BYTES, Header};
use crate::files::LogFile;

const MAGIC: &[u8; 8] = b"wuweiQ01";
/// Where the first frame begins.
pub(crate) const START: u64 = HEADER as u64;
const HEADER: usize = 64;
const EXTENSION: &str = ".segment";
/// Read at a time.
const WINDOW_BYTES: u64 = 1 << 20;

/// Name of a segment's file.
pub(crate) fn name(number: u32) -> String {
    format!("{number:010}{EXTENSION}")
}

/// Number of the segment of this name.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(EXTENSION)?;
    if digits.len() == 10 { digits.parse().ok() } else { None }
}

/// A segment that is open.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn LogFile>,
    pub(crate) number: u32,
    /// Of its first frame. Frames of the segment before that have this sequence or a later one were never
    /// acknowledged, and do not count.
    pub(crate) first_sequence: u64,
    salt: u64,
    pub(crate) length: u64,
}

impl Segment {
    /// Writes the header of a new segment, and waits for the disk.
    pub(crate) fn begin(file: Arc<dyn LogFile>, number: u32, first_sequence: u64) -> io::Result<Self> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&number.to_le_bytes());
        header[16..24].copy_from_slice(&first_sequence.to_le_bytes());
        header[24..32].copy_from_slice(&salt);
        let crc = crc32c::crc32c(&header[..32]);
        header[32..36].copy_from_slice(&crc.to_le_bytes());
        let length = file.length()?;
        file.write_at(&header, 0)?;
        file.sync()?;
        Ok(Self { file, number, first_sequence, salt: u64::from_le_bytes(salt), length })
    }

    /// Reads the header; `None` when it is not one of this number.
    pub(crate) fn open(file: Arc<dyn LogFile>, number: u32) -> io::Result<Option<Self>> {
        let length = file.length()?;
        if length < START {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        file.read_at(&mut header, 0)?;
        let is_whole = header.starts_with(MAGIC)
            && frame::number(&header, 8) == number
            && frame::number(&header, 32) == crc32c::crc32c(&header[..32]);
        let (first_sequence, salt) = (frame::long_number(&header, 16), frame::long_number(&header, 24));
        Ok(is_whole.then_some(Self { file, number, first_sequence, salt, length }))
    }

    /// Appends a frame to what will be written to this segment.
    pub(crate) fn put(&self, buffer: &mut Vec<u8>, position: frame::Position, kind: u8, payload: &[u8]) {
        frame::put(buffer, self.salt, position, kind, payload);
    }

    /// The frame at an offset, when there is a whole one.
    pub(crate) fn frame(&self, offset: u64) -> io::Result<Option<(Header, Vec<u8>)>> {
        if offset + HEADER_BYTES as u64 > self.length {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_at(&mut bytes, offset)?;
        let header = Header::read(&bytes);
        if header.frame_bytes() > self.length - offset {
            return Ok(None);
        }
        let mut payload = vec![0; header.length as usize];
        self.file.read_at(&mut payload, offset + HEADER_BYTES as u64)?;
        Ok(header.fits(self.salt, &bytes, &payload).then_some((header, payload)))
    }

    /// Reads frames one after the other, in large pieces.
    pub(crate) fn frames(&self, offset: u64) -> Frames<'_> {
        Frames { segment: self, window: Vec::new(), window_offset: 0, offset }
    }
}

/// Frames of a segment, from an offset on.
#[derive(Debug)]
pub(crate) struct Frames<'segment> {
    segment: &'segment Segment,
    window: Vec<u8>,
    window_offset: u64,
    pub(crate) offset: u64,
}

impl Frames<'_> {
    /// The frame at the offset, which goes on behind it; `None`, and the offset stays, where there is no whole one.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Header, u64, &[u8])>> {
        let offset = self.offset;
        if !self.show(offset, HEADER_BYTES as u64)? {
            return Ok(None);
        }
        let bytes: [u8; HEADER_BYTES] = self.shown(offset, HEADER_BYTES).try_into().expect("as long as a header");
        let header = Header::read(&bytes);
        if !self.show(offset, header.frame_bytes())? {
            return Ok(None);
        }
        let payload_offset = offset + HEADER_BYTES as u64;
        if !header.fits(self.segment.salt, &bytes, self.shown(payload_offset, header.length as usize)) {
            return Ok(None);
        }
        self.offset += header.frame_bytes();
        Ok(Some((header, offset, self.shown(payload_offset, header.length as usize))))
    }

    /// Goes on to the next offset at which anything is written and a frame could begin; false at the end.
    pub(crate) fn skip_zeros(&mut self) -> io::Result<bool> {
        const STEP: u64 = frame::ALIGNMENT as u64;
        while self.show(self.offset, STEP)? {
            if self.shown(self.offset, frame::ALIGNMENT).iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            self.offset += STEP;
        }
        Ok(false)
    }

    /// Has a part of the segment in the window; false where the segment ends before.
    fn show(&mut self, offset: u64, length: u64) -> io::Result<bool> {
        if length > self.segment.length.saturating_sub(offset) {
            return Ok(false);
        }
        let window_end = self.window_offset + self.window.len() as u64;
        if offset < self.window_offset || offset + length > window_end {
            let length = length.max(WINDOW_BYTES).min(self.segment.length - offset);
            self.window.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
            self.window_offset = offset;
            self.segment.file.read_at(&mut self.window, offset)?;
        }
        Ok(true)
    }

    fn shown(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset - self.window_offset).expect("within the window");
        &self.window[start..start + length]
    }
}
