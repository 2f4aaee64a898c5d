//! Frames: how records lie in a segment.
//!
//! A header of 32 bytes, little-endian, and the payload, filled up with zeros to a multiple of eight:
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | CRC-32C of the segment's salt, of what follows in the header, and of the payload |
//! | 4-7 | length of the payload |
//! | 8-15 | sequence: one more than that of the frame before |
//! | 16-23 | sequence of the first frame that was synced together with this one |
//! | 24 | kind of the record |
//! | 25-31 | zero |
//!
//! The salt is random, so nobody can put into a payload what reads as a frame.

/// Length of a frame's header, in bytes.
pub(crate) const HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    crc: u32,
    pub(crate) length: u32,
    pub(crate) sequence: u64,
    pub(crate) batch: u64,
    pub(crate) kind: u8,
}

impl Header {
    /// Takes the bytes apart; whether they are true is for [`Header::fits`] to say.
    pub(crate) fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        Self {
            crc: number(bytes, 0),
            length: number(bytes, 4),
            sequence: long_number(bytes, 8),
            batch: long_number(bytes, 16),
            kind: bytes[24],
        }
    }

    /// Whether header and payload are what was written.
    pub(crate) fn fits(&self, salt: u64, header: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
        payload.len() == self.length as usize && self.crc == crc(salt, header, payload)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of a frame with such a payload.
pub(crate) fn frame_bytes(payload: usize) -> u64 {
    (HEADER_BYTES + payload).next_multiple_of(ALIGNMENT) as u64
}

/// Where a frame stands in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) batch: u64,
}

/// Appends a frame. The payload must be shorter than 4 GiB.
pub(crate) fn put(buffer: &mut Vec<u8>, salt: u64, position: Position, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("records are far shorter than 4 GiB");
    let mut header = [0; HEADER_BYTES];
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&position.sequence.to_le_bytes());
    header[16..24].copy_from_slice(&position.batch.to_le_bytes());
    header[24] = kind;
    let crc = crc(salt, &header, payload);
    header[..4].copy_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(payload);
    buffer.resize(buffer.len().next_multiple_of(ALIGNMENT), 0);
}

fn crc(salt: u64, header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &header[4..]), payload)
}

/// Little-endian, at an offset that the caller knows to be within.
pub(crate) fn number(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..offset + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes)
}

/// As [`number`], eight bytes.
pub(crate) fn long_number(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes[offset..offset + 8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Header, Position, frame_bytes, put};

    #[test]
    fn a_frame_is_known_by_every_bit_of_header_and_payload() {
        let mut frame = Vec::new();
        put(&mut frame, 7, Position { sequence: 1, batch: 1 }, 3, b"payload");
        assert_eq!(frame.len() as u64, frame_bytes(7));
        let fits = |frame: &[u8], salt| {
            let header: &[u8; HEADER_BYTES] = frame[..HEADER_BYTES].try_into().unwrap();
            Header::read(header).fits(salt, header, &frame[HEADER_BYTES..HEADER_BYTES + 7])
        };
        assert!(fits(&frame, 7));
        assert!(!fits(&frame, 8));
        for bit in 0..(HEADER_BYTES + 7) * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!fits(&damaged, 7), "bit {bit}");
        }
    }
}
