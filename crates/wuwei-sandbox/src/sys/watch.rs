use std::io;
use std::os::unix::net::UnixStream;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets tokio watch a socket for what is of interest, and for nothing else. Needs a tokio runtime.
pub(crate) fn watch(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: the socket owns its descriptor, always gives the same one, and lives in the `AsyncFd` from here on, which
    // lends it out shared only.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}
