//! The end of an invocation's log, for `LogType=Tail`.

use std::collections::VecDeque;

use wuwei_model::limits::LOG_TAIL_BYTES;

/// Room for what the platform writes of an invocation.
const USUAL_BYTES: usize = 512;

/// The last [`LOG_TAIL_BYTES`] of the lines that were added, each with a newline.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    /// Whether something has fallen out at the front.
    is_cut: bool,
}

impl Tail {
    pub(crate) fn add(&mut self, line: &str) {
        let line = line.as_bytes();
        let kept = &line[line.len().saturating_sub(LOG_TAIL_BYTES - 1)..];
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(USUAL_BYTES);
        }
        let excess = (self.bytes.len() + kept.len() + 1).saturating_sub(LOG_TAIL_BYTES);
        self.is_cut |= excess > 0 || kept.len() < line.len();
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
        self.bytes.push_back(b'\n');
    }

    /// The text; begins with a whole character also where it is cut, so that clients can decode it.
    pub(crate) fn text(&self) -> Vec<u8> {
        let is_rest_of_character = |byte: &&u8| self.is_cut && **byte & 0b1100_0000 == 0b1000_0000;
        let skipped = self.bytes.iter().take(3).take_while(is_rest_of_character).count();
        let (front, back) = self.bytes.as_slices();
        let mut text = [front, back].concat();
        text.drain(..skipped);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn it_keeps_the_last_4096_bytes_with_newlines() {
        let mut tail = Tail::default();
        tail.add("START");
        tail.add("two\nlines");
        assert_eq!(tail.text(), b"START\ntwo\nlines\n");
        for number in 0..2000 {
            tail.add(&format!("line {number:05}"));
        }
        let text = tail.text();
        assert_eq!(text.len(), 4096);
        assert!(text.ends_with(b"\nline 01998\nline 01999\n"));
    }

    #[test]
    fn a_line_longer_than_the_tail_leaves_its_end() {
        let mut tail = Tail::default();
        tail.add("before");
        tail.add(&format!("{}end", "x".repeat(10_000)));
        let text = tail.text();
        assert_eq!(text.len(), 4096);
        assert!(text.starts_with(b"xxx") && text.ends_with(b"xend\n"));
    }

    #[test]
    fn a_cut_character_is_left_out() {
        let mut tail = Tail::default();
        tail.add(&"日".repeat(2000));
        let text = String::from_utf8(tail.text()).unwrap();
        assert_eq!(text, format!("{}\n", "日".repeat(1365)));
    }
}
