//! Takes the parts of a streamed answer from the function to whoever waits for them.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wuwei_engine::{Answer as Outcome, InvokeError, StreamPart};
use wuwei_model::limits::STREAMED_RESPONSE_BYTES_MAX;

use crate::wire::BrokenAnswerError;

/// Chunks that wait for the caller to read.
pub(crate) const CHUNKS_WAITING: usize = 4;
/// Longest time that a caller may read nothing of what waits; the answer is given up then.
const CALLER_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Where the body of a streamed answer goes.
pub(crate) type BodySender = mpsc::Sender<Result<Bytes, BrokenAnswerError>>;

/// Makes an HTTP answer of what comes.
pub(crate) trait Assemble {
    /// Takes the next part of what the function writes.
    async fn take(&mut self, part: StreamPart);
    /// The function has ended, and all of its parts have been taken.
    async fn end(self, ending: Ending);
}

/// How a streamed call ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The function ran, well or not.
    Ran(Outcome),
    /// The function ran, and wrote more than an answer may have; the rest is lost.
    TooLarge(Outcome),
    /// It could not run, or not to its end.
    NotRun(InvokeError),
}

/// Takes parts to the caller until the function has ended and all of them are there.
pub(crate) async fn pump(
    running: impl Future<Output = Result<Outcome, InvokeError>>,
    mut source: mpsc::Receiver<StreamPart>,
    mut assembly: impl Assemble,
) {
    let mut running = pin!(running);
    let mut meter = Meter { bytes_left: STREAMED_RESPONSE_BYTES_MAX, is_over: false };
    let outcome = loop {
        tokio::select! {
            biased;
            Some(part) = source.recv() => {
                if let Some(part) = meter.pass(part) {
                    assembly.take(part).await;
                }
            }
            outcome = &mut running => break outcome,
        }
    };
    // What was written before the end has been handed over by now.
    while let Ok(part) = source.try_recv() {
        if let Some(part) = meter.pass(part) {
            assembly.take(part).await;
        }
    }
    let ending = match outcome {
        Ok(outcome) if meter.is_over => Ending::TooLarge(outcome),
        Ok(outcome) => Ending::Ran(outcome),
        Err(error) => Ending::NotRun(error),
    };
    assembly.end(ending).await;
}

/// Lets as much through as an answer may have.
struct Meter {
    bytes_left: usize,
    is_over: bool,
}

impl Meter {
    fn pass(&mut self, part: StreamPart) -> Option<StreamPart> {
        match part {
            StreamPart::ContentType(_) => Some(part),
            StreamPart::Chunk(mut chunk) => {
                if chunk.len() > self.bytes_left {
                    self.is_over = true;
                    chunk.truncate(self.bytes_left);
                }
                self.bytes_left -= chunk.len();
                (!chunk.is_empty()).then_some(StreamPart::Chunk(chunk))
            }
        }
    }
}

/// Waits for a slow caller, which slows the function down. Gives the way to the caller back, unless the caller has left
/// or reads nothing at all.
pub(crate) async fn send(body: BodySender, chunk: Bytes) -> Option<BodySender> {
    if chunk.is_empty() {
        return Some(body);
    }
    match timeout(CALLER_SILENCE_MAX, body.send(Ok(chunk))).await {
        Ok(Ok(())) => Some(body),
        Ok(Err(_left)) => None,
        Err(_elapsed) => {
            tracing::debug!("the caller of a streamed answer does not read");
            None
        }
    }
}

/// Breaks the connection, so that half an answer does not look like a whole one.
pub(crate) async fn break_off(body: BodySender) {
    if timeout(CALLER_SILENCE_MAX, body.send(Err(BrokenAnswerError))).await.is_err() {
        tracing::debug!("the caller of a streamed answer does not read");
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, StreamPart};
    use bytes::Bytes;

    #[test]
    fn no_byte_past_the_limit_goes_through() {
        let mut meter = Meter { bytes_left: 3, is_over: false };
        let chunk = |bytes: &'static [u8]| StreamPart::Chunk(Bytes::from_static(bytes));
        assert_eq!(meter.pass(chunk(b"ab")), Some(chunk(b"ab")));
        assert_eq!(meter.pass(chunk(b"c")), Some(chunk(b"c")));
        assert!(!meter.is_over);
        assert_eq!(meter.pass(chunk(b"")), None);
        assert!(!meter.is_over);
        assert_eq!(meter.pass(chunk(b"d")), None);
        assert!(meter.is_over);
        let mut meter = Meter { bytes_left: 1, is_over: false };
        assert_eq!(meter.pass(chunk(b"ab")), Some(chunk(b"a")));
        assert!(meter.is_over);
    }
}
