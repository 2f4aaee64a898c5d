//! The encoding of event streams: frames of headers and a payload, each with two checksums.
//!
//! Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Media type of a body of such frames.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Lengths of the frame and of its headers, and their checksum.
const PRELUDE_BYTES: usize = 12;
/// Checksum at the end of a frame.
const CHECKSUM_BYTES: usize = 4;
/// Marks the value of a header as text.
const TEXT: u8 = 7;

/// One event of a type, as a frame.
pub(super) fn event(event_type: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let mut headers = BytesMut::new();
    for (name, value) in [(":event-type", event_type), (":content-type", content_type), (":message-type", "event")] {
        headers.put_u8(u8::try_from(name.len()).expect("names of headers are short"));
        headers.put_slice(name.as_bytes());
        headers.put_u8(TEXT);
        headers.put_u16(u16::try_from(value.len()).expect("values of headers are short"));
        headers.put_slice(value.as_bytes());
    }
    let length = PRELUDE_BYTES + headers.len() + payload.len() + CHECKSUM_BYTES;
    let mut frame = BytesMut::with_capacity(length);
    frame.put_u32(u32::try_from(length).expect("an answer is far below 4 GB"));
    frame.put_u32(u32::try_from(headers.len()).expect("headers are short"));
    frame.put_u32(crc32fast::hash(&frame));
    frame.put_slice(&headers);
    frame.put_slice(payload);
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::event;

    fn number(frame: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(frame[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_frame_has_its_lengths_its_headers_and_two_checksums() {
        let frame = event("PayloadChunk", "application/octet-stream", b"hello");
        let headers = "\x0b:event-type\x07\0\x0cPayloadChunk\x0d:content-type\x07\0\x18application/octet-stream\
                       \x0d:message-type\x07\0\x05event";
        assert_eq!(number(&frame, 0) as usize, frame.len());
        assert_eq!(number(&frame, 4) as usize, headers.len());
        assert_eq!(number(&frame, 8), crc32fast::hash(&frame[..8]));
        assert_eq!(&frame[12..12 + headers.len()], headers.as_bytes());
        assert_eq!(&frame[12 + headers.len()..frame.len() - 4], b"hello");
        assert_eq!(number(&frame, frame.len() - 4), crc32fast::hash(&frame[..frame.len() - 4]));
    }
}
