//! The protocol between wuwei and its own bootstraps, on the stream socket at descriptor 3 of the runtime.
//!
//! A frame is a length (u32, little endian, of what follows the header), a kind (u8), and the payload. A request is one
//! frame and an answer is one frame, each sent with one vectored write and, when small, received with one read.
//!
//! - Assignment payload: one JSON document, [`Assignment`]. A bootstrap that was started as a blank (with `--blank` as
//!   its last argument) says [`AnswerKind::Ready`] when it waits for it. It then starts for the function, and says so as
//!   one that was started for it does: the second answer is another `Ready`, or `InitError`. The first request may follow
//!   the assignment at once.
//! - Request payload: length of the meta document (u32), the meta document (JSON, [`RequestMeta`]), the event.
//! - Answer payload: length of the request id (u8), the request id (empty before the first event), length of the log
//!   entry (u32), the log entry (UTF-8 text for the function's log), the document.
//!
//! A streamed answer is several frames of that form: at most one content type, chunks, and then a success with an empty
//! document, or an error. A runtime that ends after its answer says so, and no event is sent to it any more.
//!
//! Nothing that comes from the runtime is trusted: a function can write what it likes to the socket.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::UNIX_EPOCH;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use serde::Serialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use crate::defence::{Defence, stands};
use crate::instance::Invocation;

pub(crate) mod assignment;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 5;
/// Longest document. Fuzz targets reach a shorter one more often.
pub(crate) const DOCUMENT_BYTES_MAX: usize =
    if cfg!(feature = "fuzzing") { 4 * 1024 } else { wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX };
/// Longest log entry that an answer carries.
const LOG_BYTES_MAX: usize = if cfg!(feature = "fuzzing") { 1024 } else { 256 * 1024 };
/// Longest request id: its length is one byte.
const ID_BYTES_MAX: usize = 255;
/// What an answer's payload has beside id, log entry and document.
const ANSWER_FIXED_BYTES: usize = 1 + 4;
/// A payload that claims more is refused unread.
const PAYLOAD_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + LOG_BYTES_MAX + ID_BYTES_MAX + ANSWER_FIXED_BYTES;
/// First read: most answers fit.
const FIRST_READ_BYTES: usize = 8 * 1024;
/// Towards the runtime: an invocation.
const INVOKE: u8 = 1;
/// Towards the runtime: what a blank is to become.
const ASSIGN: u8 = 2;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// The handler is imported; the document says how long that took, in microseconds.
    Ready,
    /// The handler could not be imported; the document says why.
    InitError,
    /// The handler returned; the document is its result.
    Success,
    /// The handler failed; the document says why.
    Error,
    /// A streamed answer begins; the document is its content type.
    ContentType,
    /// The document is the next part of a streamed answer.
    Chunk,
    /// As [`AnswerKind::Error`], and the process ends now.
    LastWords,
}

impl AnswerKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            16 => Some(Self::Ready),
            17 => Some(Self::InitError),
            18 => Some(Self::Success),
            19 => Some(Self::Error),
            20 => Some(Self::ContentType),
            21 => Some(Self::Chunk),
            22 => Some(Self::LastWords),
            _ => None,
        }
    }

    /// Whether more frames of the same answer follow.
    fn is_part(self) -> bool {
        match self {
            Self::ContentType | Self::Chunk => true,
            Self::Ready | Self::InitError | Self::Success | Self::Error | Self::LastWords => false,
        }
    }
}

/// One frame from the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What it says.
    pub(crate) kind: AnswerKind,
    /// Id of the request that it answers, as bytes: the runtime's word only.
    pub(crate) request_id: Bytes,
    /// Text for the function's log, may be empty.
    pub(crate) log: Bytes,
    /// JSON text, or any bytes.
    pub(crate) document: Bytes,
}

/// Why there is no answer. The socket is of no use after it.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    /// The runtime closed its end, at a frame's border or inside a frame.
    #[error("control socket is closed")]
    Closed,
    /// The socket failed.
    #[error("use control socket")]
    Io(#[source] io::Error),
    /// No such kind.
    #[error("frame of unknown kind {0}")]
    UnknownKind(u8),
    /// The document passes the limit; its size in bytes.
    #[error("document of {0} bytes exceeds the limit")]
    TooLarge(u64),
    /// Lengths inside the payload do not add up.
    #[error("frame is malformed")]
    Malformed,
    /// The runtime wrote more than one answer.
    #[error("data after the answer")]
    Surplus,
    /// The frame names a request that is not the one in work.
    #[error("answer to another request")]
    Foreign,
    /// A part of a streamed answer where none may be.
    #[error("part of a streamed answer out of place")]
    OutOfPlace,
}

impl From<io::Error> for FrameError {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(source),
        }
    }
}

/// What the bootstrap is told beside the event.
#[derive(Serialize)]
struct RequestMeta<'a> {
    id: &'a str,
    deadline_ms: u64,
    arn: &'a str,
    trace_id: &'a str,
    client_context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

/// The frame that hands over an invocation; the event is not copied.
pub(crate) fn request(invocation: &Invocation) -> impl Buf + use<> {
    let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let meta = RequestMeta {
        id: invocation.id.as_str(),
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        arn: &invocation.invoked_function_arn,
        trace_id: &invocation.trace_id,
        client_context: invocation.client_context.as_deref(),
        tenant_id: invocation.tenant_id.as_deref(),
    };
    let meta = serde_json::to_vec(&meta).expect("strings and a number are always JSON");
    let length = |bytes: usize| u32::try_from(bytes).expect("an event of 6 MB and its meta data are far below 4 GB");
    let mut head = BytesMut::with_capacity(HEADER_BYTES + 4 + meta.len());
    head.put_u32_le(length(4 + meta.len() + invocation.payload.len()));
    head.put_u8(INVOKE);
    head.put_u32_le(length(meta.len()));
    head.put_slice(&meta);
    head.freeze().chain(invocation.payload.clone())
}

/// What a blank becomes.
#[derive(Serialize)]
pub(crate) struct Assignment<'a> {
    /// Complete environment; the order is kept.
    #[serde(serialize_with = "as_object")]
    pub(crate) environment: &'a [(String, String)],
    /// Handler setting.
    pub(crate) handler: &'a str,
    /// Working directory, as a path in the sandbox.
    pub(crate) working_directory: &'a str,
}

fn as_object<S: serde::Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// The document of the frame that assigns a blank to a function.
pub(crate) fn assignment(assignment: &Assignment<'_>) -> String {
    serde_json::to_string(assignment).expect("strings are always JSON")
}

/// The frame that assigns a blank to a function.
pub(crate) fn assignment_frame(document: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + document.len());
    frame.put_u32_le(u32::try_from(document.len()).expect("an environment of 4 KB is far below 4 GB"));
    frame.put_u8(ASSIGN);
    frame.put_slice(document.as_bytes());
    frame.freeze()
}

/// Collects answers from a socket. Keeps what has come when a read is cancelled.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Waits for one answer.
    ///
    /// # Errors
    /// All of [`FrameError`]; after one the socket must not be read again.
    pub(crate) async fn read(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<Answer, FrameError> {
        loop {
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
            let count = if self.buffer.is_empty() {
                self.read_first(socket).await?
            } else {
                self.reserve();
                socket.read_buf(&mut self.buffer).await?
            };
            if count == 0 {
                return Err(FrameError::Closed);
            }
        }
    }

    /// Takes what the socket still holds after its process has ended; never waits.
    ///
    /// # Errors
    /// [`FrameError::Closed`] when no whole answer is there, and the others.
    pub(crate) fn read_remaining(&mut self, socket: impl AsFd) -> Result<Answer, FrameError> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
            match rustix::io::read(&socket, &mut chunk) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Err(FrameError::Closed),
                Ok(count) => self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }

    /// Reads through the stack: so most answers get a buffer of their own size.
    async fn read_first(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        poll_fn(|context| {
            let mut room = [MaybeUninit::uninit(); FIRST_READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *socket).poll_read(context, &mut read))?;
            self.buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    /// Makes room in step with what has really come, never with what a length claims.
    fn reserve(&mut self) {
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(self.buffer.len().max(FIRST_READ_BYTES));
        }
    }

    fn take_answer(&mut self) -> Result<Option<Answer>, FrameError> {
        let Some((header, payload)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [length @ .., kind] = *header;
        let length = u32::from_le_bytes(length) as usize;
        let kind = AnswerKind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
        if length > PAYLOAD_BYTES_MAX && stands(Defence::AnswerLimit) {
            // A whole answer that is too long has its request id first, and no log entry when it is a result.
            let id_bytes = match payload.first() {
                Some(id_bytes) => usize::from(*id_bytes),
                None => return Ok(None),
            };
            let document = length.saturating_sub(ANSWER_FIXED_BYTES + id_bytes);
            return Err(FrameError::TooLarge(document as u64));
        }
        match payload.len().cmp(&length) {
            std::cmp::Ordering::Less => return Ok(None),
            std::cmp::Ordering::Greater if !kind.is_part() && stands(Defence::OneAnswer) => {
                return Err(FrameError::Surplus);
            }
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => {}
        }
        let whole = HEADER_BYTES + length;
        // A fresh buffer, so that a large answer's memory goes when the answer goes.
        let frame =
            if self.buffer.len() == whole { std::mem::take(&mut self.buffer) } else { self.buffer.split_to(whole) };
        let mut payload = frame.freeze();
        payload.advance(HEADER_BYTES);
        parse(kind, payload).map(Some)
    }
}

fn parse(kind: AnswerKind, mut payload: Bytes) -> Result<Answer, FrameError> {
    let id_bytes = payload.try_get_u8().map_err(|_short| FrameError::Malformed)?;
    let request_id = split(&mut payload, usize::from(id_bytes))?;
    let log_bytes = payload.try_get_u32_le().map_err(|_short| FrameError::Malformed)?;
    let log = split(&mut payload, log_bytes as usize)?;
    if log.len() > LOG_BYTES_MAX {
        return Err(FrameError::Malformed);
    }
    if payload.len() > DOCUMENT_BYTES_MAX && stands(Defence::AnswerLimit) {
        return Err(FrameError::TooLarge(payload.len() as u64));
    }
    Ok(Answer { kind, request_id, log, document: payload })
}

fn split(payload: &mut Bytes, length: usize) -> Result<Bytes, FrameError> {
    if payload.len() < length { Err(FrameError::Malformed) } else { Ok(payload.split_to(length)) }
}
