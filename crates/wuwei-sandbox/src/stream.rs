//! Answers that reach the caller while the function still writes them.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Parts that wait between a function and its caller; past this the function waits.
const PARTS_IN_FLIGHT: usize = 16;

/// A part of a streamed answer, in the order in which the function wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPart {
    /// At most once, before any chunk: the content type that the runtime named.
    ContentType(String),
    /// Bytes of the answer.
    Chunk(Bytes),
}

/// Takes the parts of one streamed answer. Bounded: a slow caller slows the function down.
#[derive(Clone, Debug)]
pub struct StreamSink(mpsc::Sender<StreamPart>);

impl StreamSink {
    /// A sink and where its parts come out.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<StreamPart>) {
        let (sender, receiver) = mpsc::channel(PARTS_IN_FLIGHT);
        (Self(sender), receiver)
    }

    /// Hands a part over, waiting for room. A caller who left does not stop the function: its parts are dropped.
    pub async fn send(&self, part: StreamPart) {
        if self.0.send(part).await.is_err() {
            tracing::trace!("the caller of a streamed answer has left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PARTS_IN_FLIGHT, StreamPart, StreamSink};
    use bytes::Bytes;
    use futures_test_free::is_pending;

    /// Whether a future has to wait, without an executor of its own.
    mod futures_test_free {
        use std::future::Future;
        use std::pin::pin;
        use std::task::{Context, Waker};

        pub(super) fn is_pending(future: impl Future) -> bool {
            pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
        }
    }

    #[tokio::test]
    async fn a_slow_caller_slows_the_function_down_and_one_who_left_does_not() {
        let (sink, receiver) = StreamSink::channel();
        let part = || StreamPart::Chunk(Bytes::from_static(b"x"));
        for _ in 0..PARTS_IN_FLIGHT {
            assert!(!is_pending(sink.send(part())));
        }
        assert!(is_pending(sink.send(part())));
        drop(receiver);
        assert!(!is_pending(sink.send(part())));
    }
}
