//! The server's side of the steward.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::protocol::{Answer, Helper, Request};
use crate::launcher::{Received, receive, send};

/// How long a steward may take to start a process.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the helpers' clean-up may take.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// A steward that runs. Shared by all that start helpers.
#[derive(Clone, Debug)]
pub struct Steward {
    user: u32,
    /// Held from a request to its answer.
    socket: Arc<Mutex<OwnedFd>>,
    /// A pipe that nobody else has the other end of.
    life: Arc<Mutex<Option<OwnedFd>>>,
    /// Until its end was waited for.
    process: Arc<Mutex<Option<Child>>>,
}

impl Steward {
    /// Starts a steward: `program` with `argument`, whose `main` calls [`crate::run_steward`]. The caller is root, and
    /// waits. `owner` is the data directory's.
    ///
    /// # Errors
    /// When it cannot be started, or finds no host users for this server.
    pub fn start(program: &Path, argument: &str, data_dir: &Path, owner: u32) -> io::Result<Self> {
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let (life, its_life) = io::pipe()?;
        #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
        let process = Command::new(program)
            .arg(argument)
            .stdin(Stdio::from(theirs))
            .stdout(its_life)
            .current_dir("/")
            // A Ctrl-C at the terminal is for the server.
            .process_group(0)
            .spawn()?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        send(&socket, &Request::Setup { server: crate::sandbox::server_name(data_dir), owner }, &[])?;
        let user = match receive::<Answer>(&socket)?.map(|received| received.message) {
            Some(Answer::Ready { user }) => user,
            Some(Answer::Failed { reason }) => return Err(io::Error::other(reason)),
            Some(Answer::Started { .. }) | None => return Err(io::Error::other("it ended before it was ready")),
        };
        Ok(Self {
            user,
            socket: Arc::new(Mutex::new(socket)),
            life: Arc::new(Mutex::new(Some(life.into()))),
            process: Arc::new(Mutex::new(Some(process))),
        })
    }

    /// Host user (and group) that the server is to become.
    #[must_use]
    pub fn server_user(&self) -> u32 {
        self.user
    }

    /// Starts a helper with its end of a socket; gives its process id.
    pub(crate) async fn start_helper(&self, helper: Helper, descriptor: OwnedFd) -> io::Result<Pid> {
        let socket = Arc::clone(&self.socket);
        // Not to be cancelled between a request and its answer.
        let asked = tokio::task::spawn_blocking(move || {
            let socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
            ask(&socket, helper, &descriptor)
        });
        asked.await.map_err(io::Error::other)?
    }

    /// Waits until the steward has ended; only the first call may.
    ///
    /// # Errors
    /// When that cannot be watched.
    pub async fn ended(&self) -> io::Result<()> {
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner).take();
        let life = life.ok_or_else(|| io::Error::other("it is watched already"))?;
        rustix::io::ioctl_fionbio(&life, true)?;
        let mut life = pipe::Receiver::from_owned_fd(life)?;
        // It writes nothing: what can be read is the end.
        life.read(&mut [0]).await.map(|_none| ())
    }

    /// Lets the steward go, and waits until it and all helpers have ended; those must have been told before.
    pub async fn shut_down(&self) {
        {
            let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = rustix::net::shutdown(&*socket, Shutdown::Write) {
                tracing::debug!(%error, "the steward was gone already");
            }
        }
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(process) = process else { return };
        let waited = tokio::task::spawn_blocking(move || wait_for_end(process)).await;
        if let Err(error) = waited.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "the steward did not end in time");
        }
    }
}

fn ask(socket: &OwnedFd, helper: Helper, descriptor: &OwnedFd) -> io::Result<Pid> {
    let gone = || io::Error::other("the steward has ended: no helper can be started until the server is restarted");
    send(socket, &Request::Start(helper), &[descriptor.as_fd()]).map_err(|_broken| gone())?;
    match receive::<Answer>(socket) {
        Ok(Some(Received { message: Answer::Started { pid }, .. })) => Pid::from_raw(pid).ok_or_else(gone),
        Ok(Some(Received { message: Answer::Failed { reason }, .. })) => Err(io::Error::other(reason)),
        Ok(Some(Received { message: Answer::Ready { .. }, .. })) => Err(io::ErrorKind::InvalidData.into()),
        Ok(None) => Err(gone()),
        Err(error) => {
            // Its answer may come yet, and would be taken for another one.
            if let Err(error) = rustix::net::shutdown(socket, Shutdown::Both) {
                tracing::debug!(%error, "the steward was gone already");
            }
            Err(error)
        }
    }
}

fn wait_for_end(mut process: Child) -> io::Result<()> {
    let handle = pidfd_open(Pid::from_child(&process), PidfdFlags::empty())?;
    let mut watched = [PollFd::new(&handle, PollFlags::IN)];
    let timeout = Timespec::try_from(END_TIMEOUT).map_err(io::Error::other)?;
    if poll(&mut watched, Some(&timeout))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    process.wait()?;
    Ok(())
}
