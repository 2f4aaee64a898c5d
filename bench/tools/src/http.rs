//! As much of HTTP/1.1's client side as load needs: requests are bytes made ahead; of an answer only its end, its
//! status and its body matter.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context as _, bail, ensure};

/// Answers of the benchmarks' functions are far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// See [`Answer::phases`].
const PHASES: &str = "x-wuwei-cold-start";

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'buffer> {
    /// Status code.
    pub(crate) status: u16,
    /// Body; of a chunked one with the chunks' heads.
    pub(crate) body: &'buffer [u8],
    /// The header in which the server says how long each phase of a cold start took.
    pub(crate) phases: Option<&'buffer str>,
}

impl Answer<'_> {
    /// Demands 200 and the text.
    pub(crate) fn check(&self, must_contain: &str) -> anyhow::Result<()> {
        ensure!(
            self.status / 100 == 2 && contains(self.body, must_contain),
            "status {} without `{must_contain}`: {}",
            self.status,
            String::from_utf8_lossy(self.body)
        );
        Ok(())
    }
}

/// Whether `text` is in `body`.
pub(crate) fn contains(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The answer at the start of `buffer`; `None` while it is not whole.
pub(crate) fn answer_in(buffer: &[u8]) -> anyhow::Result<Option<Answer<'_>>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(buffer).context("parse an answer")? else {
        return Ok(None);
    };
    let status = response.code.context("an answer without a status")?;
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let rest = buffer.get(head..).unwrap_or_default();
    let phases = value(PHASES);
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(chunked_end(rest)?.and_then(|end| rest.get(..end)).map(|body| Answer { status, body, phases }));
    }
    let length: usize = value("content-length").map_or(Ok(0), str::parse).context("parse Content-Length")?;
    Ok(rest.get(..length).map(|body| Answer { status, body, phases }))
}

/// Where a chunked body ends.
fn chunked_end(body: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut at = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Ok(parsed) = httparse::parse_chunk_size(rest) else { bail!("an answer with a wrong chunk size") };
        let httparse::Status::Complete((head, size)) = parsed else { return Ok(None) };
        at += head + usize::try_from(size)? + 2;
        if at > body.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

/// Bytes of one connection.
pub(crate) struct Connection<Stream> {
    stream: Stream,
    buffer: Vec<u8>,
    filled: usize,
}

impl<Stream: Read + Write> Connection<Stream> {
    /// Takes over a connected stream.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; 16 * 1024], filled: 0 }
    }

    /// The stream itself, for registering it.
    pub(crate) fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Sends a request; small ones fit into the socket's buffer whether it blocks or not.
    pub(crate) fn send(&mut self, request: &str) -> anyhow::Result<()> {
        self.filled = 0;
        self.stream.write_all(request.as_bytes()).context("send a request")
    }

    /// Reads until the answer is whole; gives `None` where a stream that does not block has no more yet.
    pub(crate) fn receive(&mut self) -> anyhow::Result<Option<Answer<'_>>> {
        while answer_in(self.buffer.get(..self.filled).unwrap_or_default())?.is_none() {
            if self.filled == self.buffer.len() {
                ensure!(self.filled < ANSWER_BYTES_MAX, "an answer of more than {ANSWER_BYTES_MAX} bytes");
                self.buffer.resize(self.filled * 2, 0);
            }
            match self.stream.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("read an answer"),
            }
        }
        answer_in(self.buffer.get(..self.filled).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(text: &str) -> Option<&[u8]> {
        answer_in(text.as_bytes()).unwrap().map(|answer| answer.body)
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        assert_eq!(body_of("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"), None);
        assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), Some(&b"abc"[..]));
        assert_eq!(body_of("HTTP/1.1 202 Accepted\r\n\r\n"), Some(&b""[..]));
    }

    #[test]
    fn a_chunked_answer_ends_with_its_empty_chunk() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for part in ["", "3\r\nabc", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n"] {
            assert_eq!(body_of(&format!("{head}{part}")), None, "{part:?}");
        }
        let whole = format!("{head}3\r\nabc\r\n0\r\n\r\n");
        assert!(contains(body_of(&whole).unwrap(), "abc"));
    }

    #[test]
    fn the_phases_of_a_cold_start_are_found() {
        let head = "HTTP/1.1 200 OK\r\nX-Wuwei-Cold-Start: queue=1;init=2\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answer_in(head.as_bytes()).unwrap().unwrap().phases, Some("queue=1;init=2"));
    }

    #[test]
    fn a_refused_request_or_another_text_is_an_error() {
        let answer = |status| Answer { status, body: b"{\"start\": \"again\"}", phases: None };
        assert!(answer(200).check("\"again\"").is_ok());
        assert!(answer(200).check("\"first\"").is_err());
        assert!(answer(500).check("").is_err());
    }
}
