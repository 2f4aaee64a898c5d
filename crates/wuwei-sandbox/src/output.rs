//! Reads what a function prints, and cuts it into lines.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::time::SystemTime;

use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::instance::OutputSink;

#[cfg(test)]
mod tests;

/// A line that is longer is cut: AWS's limit of one log event.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;
/// Stands for a line break inside one log entry: a runtime that knows its entries sends it, so that an entry of several
/// lines stays one. No UTF-8 text has these bytes.
const INNER_BREAK: [u8; 2] = [0xF8, 0xFF];
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;
/// What a drain reads at most. More cannot have been in the pipe before the answer (the largest pipe that an
/// unprivileged process can make has 1 MiB): the rest was written since, by a process that keeps writing.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// Lines from one instance's pipe. Keeps an unfinished line across calls.
#[derive(Debug, Default)]
pub(crate) struct OutputReader {
    pending: Vec<u8>,
    closed: bool,
}

impl OutputReader {
    /// Whether every writer has closed the pipe.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Waits for output and passes on the lines that are whole. Loses nothing when cancelled.
    pub(crate) async fn pump(&mut self, pipe: &pipe::Receiver, sink: &mut dyn OutputSink) {
        if pipe.readable().await.is_err() {
            self.closed = true;
            return;
        }
        self.pending.reserve(READ_BYTES);
        let unread = self.pending.len();
        match pipe.try_read_buf(&mut self.pending) {
            Ok(0) => self.closed = true,
            Ok(_) => self.emit_lines(unread, sink),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
            Err(_) => self.closed = true,
        }
    }

    /// Passes on all that is in the pipe now, and an unfinished last line with it. Never waits.
    ///
    /// A function writes before it answers, so after its answer its output is in the pipe already. The descriptor is
    /// read directly, because tokio may not have heard yet that there is something to read.
    pub(crate) fn drain(&mut self, pipe: &pipe::Receiver, sink: &mut dyn OutputSink) {
        let mut drained = 0;
        while !self.closed && drained < DRAIN_BYTES_MAX {
            // On the stack: most calls print nothing, and an allocation of this size is not cheap.
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            match rustix::io::read(pipe.as_fd(), &mut room) {
                Ok(([], _)) => self.closed = true,
                Ok((read, _)) => {
                    let unread = self.pending.len();
                    drained += read.len();
                    self.pending.extend_from_slice(read);
                    self.emit_lines(unread, sink);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.closed = true,
            }
        }
        if !self.pending.is_empty() {
            self.emit(0, self.pending.len(), SystemTime::now(), sink);
        }
        self.pending = Vec::new();
    }

    /// Passes on whole lines; the bytes before `unread` hold no newline.
    fn emit_lines(&mut self, unread: usize, sink: &mut dyn OutputSink) {
        let now = SystemTime::now();
        let mut start = 0;
        let mut search = unread;
        loop {
            let rest = self.pending.get(search..).unwrap_or_default();
            let newline = rest.iter().position(|byte| *byte == b'\n').map(|offset| search + offset);
            let end = newline.unwrap_or(self.pending.len());
            if end - start > LINE_BYTES_MAX {
                let cut = character_start(&self.pending, start + LINE_BYTES_MAX);
                self.emit(start, cut, now, sink);
                (start, search) = (cut, cut);
            } else if newline.is_some() {
                self.emit(start, end, now, sink);
                (start, search) = (end + 1, end + 1);
            } else {
                break;
            }
        }
        self.pending.drain(..start);
    }

    fn emit(&self, start: usize, end: usize, at: SystemTime, sink: &mut dyn OutputSink) {
        sink.write_line(at, &text_of(self.pending.get(start..end).unwrap_or_default()));
    }
}

/// An entry's text, with its inner line breaks; what is no UTF-8 is replaced.
fn text_of(mut bytes: &[u8]) -> Cow<'_, str> {
    if !bytes.contains(&INNER_BREAK[0]) {
        return String::from_utf8_lossy(bytes);
    }
    let mut lines = Vec::new();
    while let Some(at) = bytes.windows(INNER_BREAK.len()).position(|window| window == INNER_BREAK) {
        let (line, rest) = bytes.split_at(at);
        lines.push(String::from_utf8_lossy(line));
        bytes = rest.get(INNER_BREAK.len()..).unwrap_or_default();
    }
    lines.push(String::from_utf8_lossy(bytes));
    Cow::Owned(lines.join("\n"))
}

/// The nearest position at or before `position` that does not split a UTF-8 character.
fn character_start(bytes: &[u8], position: usize) -> usize {
    let is_continuation = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (position.saturating_sub(3)..=position).rev().find(|at| !is_continuation(at)).unwrap_or(position)
}
