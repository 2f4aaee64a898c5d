//! The server's side of the keeper: starts it, asks it for file systems, hears of its end, starts it again.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use wuwei_model::limits::EPHEMERAL_MB_MIN;

use super::Spare;
use super::protocol::{Event, Request};
use crate::helper::{HelperProcess, HelperStarter};
use crate::launcher::{Received, receive, send};

/// How long the keeper may take to set up, or to make one file system.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before a keeper that died is replaced, so that one that cannot start does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// File systems of the usual size that are made ahead.
const STOCK: usize = 4;
/// The most that are kept of those that come back as they were.
const STOCK_MAX: usize = 64;

/// How to start keepers.
#[derive(Clone, Debug)]
pub(crate) struct KeeperOptions {
    pub(crate) starter: HelperStarter,
    /// Where images are.
    pub(crate) directory: PathBuf,
}

type Answer = oneshot::Sender<Result<OwnedFd, String>>;

/// One keeper process and the socket to it; replaced as a whole when it dies. What it has made stays.
struct Connection {
    socket: UnixDatagram,
    process: HelperProcess,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    pending: BTreeMap<u64, Answer>,
    stock: Vec<Spare>,
    /// Whether somebody is filling the stock.
    stocking: bool,
    closed: bool,
}

/// Asks the keeper. Shared by everything that starts sandboxes.
pub(crate) struct KeeperClient {
    options: KeeperOptions,
    next_id: AtomicU64,
    state: Mutex<State>,
}

impl KeeperClient {
    /// Starts a keeper and waits until it is set up; the error says, for people, what is missing.
    pub(super) async fn start(options: KeeperOptions) -> Result<Arc<Self>, String> {
        let connection = connect(&options).await?;
        let state = State { connection: Some(Arc::clone(&connection)), ..State::default() };
        let client = Arc::new(Self { options, next_id: AtomicU64::new(1), state: Mutex::new(state) });
        tokio::spawn(listen(Arc::downgrade(&client), connection));
        client.restock();
        Ok(client)
    }

    /// An empty file system.
    pub(super) async fn make(self: &Arc<Self>, megabytes: u32) -> io::Result<Spare> {
        if megabytes == EPHEMERAL_MB_MIN {
            let stocked = self.state().stock.pop();
            self.restock();
            if let Some(spare) = stocked {
                return Ok(spare);
            }
        }
        Ok(Spare::new(self.ask(|id| Request::Make { id, megabytes }, None).await?))
    }

    /// Takes a file system back that is as it was made; false when there is no room for it.
    pub(super) fn take_back(&self, megabytes: u32, spare: Spare) -> bool {
        let mut state = self.state();
        let has_room = megabytes == EPHEMERAL_MB_MIN && !state.closed && state.stock.len() < STOCK_MAX;
        if has_room {
            state.stock.push(spare);
        }
        has_room
    }

    /// Another mount of a file system.
    pub(super) async fn mount_again(&self, mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        self.ask(|id| Request::Mount { id }, Some(mount)).await
    }

    /// Lets go of a file system: the keeper does what takes time.
    pub(super) fn give_up(&self, mount: &OwnedFd) {
        let Some(connection) = self.state().connection.clone() else { return };
        if let Err(error) = send(&connection.socket, &Request::GiveUp, &[mount.as_fd()]) {
            tracing::debug!(%error, "a file system of a function is let go of here");
        }
    }

    /// Ends the keeper.
    pub(super) async fn shut_down(&self) {
        let (connection, stock) = {
            let mut state = self.state();
            state.closed = true;
            (state.connection.take(), std::mem::take(&mut state.stock))
        };
        drop(stock);
        let Some(connection) = connection else { return };
        if let Err(error) = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Write) {
            tracing::debug!(%error, "the keeper was gone already");
        }
        let wait = async move {
            while let Ok(Some(_)) = receive_async(&connection.socket).await {}
            connection.process.reap().await;
        };
        if tokio::time::timeout(KEEPER_TIMEOUT, wait).await.is_err() {
            tracing::warn!("the keeper did not end in time");
        }
    }

    /// Fills the stock up, one file system after the other.
    fn restock(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if state.stocking || state.closed || state.stock.len() >= STOCK {
                return;
            }
            state.stocking = true;
        }
        let client = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let made = client.ask(|id| Request::Make { id, megabytes: EPHEMERAL_MB_MIN }, None).await;
                let mut state = client.state();
                match made {
                    Ok(mount) if !state.closed => state.stock.push(Spare::new(mount)),
                    Ok(_late) => {}
                    Err(error) => {
                        // Not tried again before the next one is asked for: a full disk would be asked without end.
                        tracing::warn!(%error, "no file system for `/tmp` could be made ahead");
                        state.stocking = false;
                        return;
                    }
                }
                if state.closed || state.stock.len() >= STOCK || state.connection.is_none() {
                    state.stocking = false;
                    return;
                }
            }
        });
    }

    async fn ask(&self, request: impl FnOnce(u64) -> Request, mount: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let gone = || io::Error::other("the process that makes file systems is not running");
        let connection = self.state().connection.clone().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        self.state().pending.insert(id, answer);
        let forget = Forget { client: self, id };
        send_async(&connection.socket, &request(id), mount).await?;
        let result = tokio::time::timeout(KEEPER_TIMEOUT, answered).await;
        drop(forget);
        result
            .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?
            .map_err(|_dropped| gone())?
            .map_err(io::Error::other)
    }

    fn take_event(&self, event: Event, descriptors: Vec<OwnedFd>) {
        let (id, result) = match event {
            Event::Ready => return tracing::warn!("the keeper said twice that it is ready"),
            Event::Unable { reason } => return tracing::error!(reason, "the keeper is unable to work"),
            Event::Given { id } => {
                (id, descriptors.into_iter().next().ok_or_else(|| "a mount came without its descriptor".to_owned()))
            }
            Event::Failed { id, reason } => (id, Err(reason)),
        };
        let answer = self.state().pending.remove(&id);
        if answer.is_none_or(|answer| answer.send(result).is_err()) {
            tracing::debug!(id, "nobody waits for a file system any more");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state stays consistent at every await-free step, also when a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a request off the list when its caller goes away.
struct Forget<'client> {
    client: &'client KeeperClient,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.client.state().pending.remove(&self.id);
    }
}

/// Reads the keeper's events until it goes away, then replaces it.
async fn listen(client: Weak<KeeperClient>, mut connection: Arc<Connection>) {
    loop {
        let received = receive_async(&connection.socket).await;
        let Some(client) = client.upgrade() else { return };
        if let Ok(Some(Received { message, descriptors })) = received {
            client.take_event(message, descriptors);
            continue;
        }
        let pending = {
            let mut state = client.state();
            state.connection = None;
            std::mem::take(&mut state.pending)
        };
        drop(pending);
        if client.state().closed {
            return;
        }
        tracing::error!("the process that makes file systems ended unexpectedly; starting another");
        connection.process.reap().await;
        loop {
            if client.state().closed {
                return;
            }
            match connect(&client.options).await {
                Ok(next) => {
                    client.state().connection = Some(Arc::clone(&next));
                    connection = next;
                    client.restock();
                    break;
                }
                Err(error) => tracing::error!(error, "could not replace the process that makes file systems"),
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

async fn connect(options: &KeeperOptions) -> Result<Arc<Connection>, String> {
    let text = |error: io::Error| format!("start the process that makes file systems: {error}");
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| text(error.into()))?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|error| text(error.into()))?;
    let process = options.starter.start(theirs).await.map_err(text)?;
    let socket = UnixDatagram::from_std(ours.into()).map_err(text)?;
    let connection = Arc::new(Connection { socket, process });
    let ready = async {
        let setup = Request::Setup { directory: options.directory.clone() };
        send_async(&connection.socket, &setup, None).await?;
        receive_async(&connection.socket).await
    };
    let received = tokio::time::timeout(KEEPER_TIMEOUT, ready).await;
    let received = received.map_err(|elapsed| text(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?;
    let reason = match received.map_err(text)? {
        Some(Received { message: Event::Ready, .. }) => return Ok(connection),
        Some(Received { message: Event::Unable { reason }, .. }) => reason,
        Some(Received { message: Event::Given { .. } | Event::Failed { .. }, .. }) | None => {
            text(io::ErrorKind::InvalidData.into())
        }
    };
    connection.process.reap().await;
    Err(reason)
}

async fn send_async(socket: &UnixDatagram, request: &Request, mount: Option<BorrowedFd<'_>>) -> io::Result<()> {
    socket.async_io(Interest::WRITABLE, || send(socket, request, mount.as_slice())).await
}

async fn receive_async(socket: &UnixDatagram) -> io::Result<Option<Received<Event>>> {
    socket.async_io(Interest::READABLE, || receive(socket)).await
}
