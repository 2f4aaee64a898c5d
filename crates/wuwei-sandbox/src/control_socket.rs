//! The server's end of the socket on which a managed runtime gets events.
//!
//! Watched for input only: with output watched too, the kernel would tell that there is room again each time the runtime
//! has read an event, which wakes the server for nothing in the middle of every call.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

use crate::sys::watch;

/// Pieces of a frame that are written at once: its head and its event.
const PIECES_MAX: usize = 4;
/// Read at once.
const READ_BYTES: usize = 64 * 1024;

/// A stream socket.
#[derive(Debug)]
pub(crate) struct ControlSocket(AsyncFd<UnixStream>);

impl ControlSocket {
    /// Takes over a socket; needs a tokio runtime.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(watch(socket, Interest::READABLE)?))
    }

    /// Writes all of it: most often with one system call.
    pub(crate) async fn write_all(&self, mut bytes: impl Buf) -> io::Result<()> {
        while bytes.has_remaining() {
            match self.try_write(&bytes) {
                Ok(count) => bytes.advance(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // A large event. A second registration, for as long as it takes, sees that there is room.
                    let socket = watch(self.0.get_ref().try_clone()?, Interest::WRITABLE)?;
                    drop(socket.writable().await?);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn try_write(&self, bytes: &impl Buf) -> Result<usize, Errno> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let count = bytes.chunks_vectored(&mut pieces);
        rustix::io::writev(self.0.get_ref(), pieces.get(..count).unwrap_or_default())
    }
}

impl AsyncRead for ControlSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let wanted = buffer.remaining().min(READ_BYTES);
            let unfilled = buffer.initialize_unfilled_to(wanted);
            match rustix::io::read(self.0.get_ref(), unfilled) {
                Ok(count) => {
                    if count < wanted {
                        // Nothing more is there: the next read can wait without asking.
                        guard.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
        }
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
