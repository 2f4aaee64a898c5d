//! The server's side of the filler: starts it, asks it for networks, hears of its end, starts it again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{oneshot, watch};
use wuwei_model::EgressPolicy;

use super::names::NameServer;
use super::protocol::{Event, Request};
use super::registry::{Lease, Registry};
use crate::helper::{HelperProcess, HelperStarter};
use crate::launcher::{Received, receive, send};

/// How long the filler may take to set up, or to make one network.
const FILLER_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before a filler that died is replaced, so that one that cannot start does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// Networks that are made ahead for the server's default policy.
const STOCK: usize = 4;

/// How to start fillers.
#[derive(Clone, Debug)]
pub(crate) struct FillerOptions {
    pub(crate) starter: HelperStarter,
    /// Names what belongs to this server on the host.
    pub(crate) server: String,
    /// Made ahead.
    pub(crate) stocked: EgressPolicy,
}

/// A network for one sandbox.
pub(crate) struct Network {
    /// It lives as long as this or a process or socket in it.
    pub(crate) namespace: OwnedFd,
    /// Kept as long as the sandbox.
    pub(crate) lease: Lease,
}

/// What a request comes to.
enum Done {
    Provided(Ipv4Addr, OwnedFd),
    Admitted,
}

type Answer = oneshot::Sender<Result<Done, String>>;

/// One filler process, the socket to it and the server of names in its router; replaced as a whole when it dies.
struct Connection {
    socket: UnixDatagram,
    process: HelperProcess,
    /// Becomes true when the filler is gone, and all networks of its router with it.
    lost: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    names: Option<NameServer>,
    pending: BTreeMap<u64, Answer>,
    stock: Vec<Network>,
    /// Whether somebody is making networks for the stock.
    stocking: bool,
    closed: bool,
}

/// Asks the filler. Shared by everything that starts sandboxes.
pub(crate) struct FillerClient {
    options: FillerOptions,
    next_id: AtomicU64,
    registry: Arc<Registry>,
    state: Mutex<State>,
}

impl FillerClient {
    /// Starts a filler and waits until it is set up; the error says, for people, why functions get no network.
    pub(crate) async fn start(options: FillerOptions) -> Result<Arc<Self>, String> {
        let (connection, sockets) = connect(&options).await?;
        let client = Arc::new(Self {
            options,
            next_id: AtomicU64::new(1),
            registry: Arc::default(),
            state: Mutex::new(State::default()),
        });
        client.adopt(&connection, sockets)?;
        tokio::spawn(listen(Arc::downgrade(&client), connection));
        client.restock();
        Ok(client)
    }

    /// A network with this policy, which is not `none`.
    pub(crate) async fn network(self: &Arc<Self>, policy: &EgressPolicy) -> io::Result<Network> {
        if *policy == self.options.stocked {
            let stocked = self.state().stock.pop();
            self.restock();
            if let Some(network) = stocked {
                return Ok(network);
            }
        }
        self.make(policy).await
    }

    /// Ends the filler; nothing of its work is left when this returns, once the sandboxes are gone.
    pub(crate) async fn shut_down(&self) {
        let connection = {
            let mut state = self.state();
            state.closed = true;
            state.names = None;
            state.stock.clear();
            state.connection.take()
        };
        let Some(connection) = connection else { return };
        if let Err(error) = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Write) {
            tracing::debug!(%error, "the filler was gone already");
        }
        let wait = async move {
            while let Ok(Some(_)) = receive_async(&connection.socket).await {}
            connection.process.reap().await;
        };
        if tokio::time::timeout(FILLER_TIMEOUT, wait).await.is_err() {
            tracing::warn!("the filler did not finish its clean-up in time");
        }
    }

    /// Opens what a name stands for to the sandboxes with this list.
    pub(super) async fn admit(
        &self,
        policy: &EgressPolicy,
        addresses: Vec<IpAddr>,
        ports: Vec<u16>,
        seconds: u32,
    ) -> io::Result<()> {
        let policy = policy.to_string();
        match self.ask(|id| Request::Admit { id, policy, addresses, ports, seconds }).await? {
            (Done::Admitted, _) => Ok(()),
            (Done::Provided(..), _) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn make(&self, policy: &EgressPolicy) -> io::Result<Network> {
        let text = policy.to_string();
        match self.ask(|id| Request::Provide { id, policy: text }).await? {
            (Done::Provided(address, namespace), connection) => {
                let lease = self.registry.enter(address, policy.clone(), connection.lost.subscribe());
                Ok(Network { namespace, lease })
            }
            (Done::Admitted, _) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Fills the stock up, one network after the other.
    fn restock(self: &Arc<Self>) {
        if self.options.stocked == EgressPolicy::None {
            return;
        }
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
                let made = client.make(&client.options.stocked).await;
                let mut state = client.state();
                match made {
                    Ok(network) if !state.closed && !network.lease.is_lost() => state.stock.push(network),
                    Ok(_late) => {}
                    Err(error) => {
                        // Whoever needs one asks, and is told.
                        tracing::warn!(%error, "no network could be made ahead");
                        state.stocking = false;
                        return;
                    }
                }
                if state.closed || state.stock.len() >= STOCK {
                    state.stocking = false;
                    return;
                }
            }
        });
    }

    async fn ask(&self, request: impl FnOnce(u64) -> Request) -> io::Result<(Done, Arc<Connection>)> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let gone = || io::Error::other("the process that makes networks is not running");
        let connection = self.state().connection.clone().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        self.state().pending.insert(id, answer);
        let forget = Forget { client: self, id };
        send_async(&connection.socket, &request(id)).await?;
        let result = tokio::time::timeout(FILLER_TIMEOUT, answered).await;
        drop(forget);
        let done = result
            .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?
            .map_err(|_dropped| gone())?
            .map_err(io::Error::other)?;
        Ok((done, connection))
    }

    fn adopt(self: &Arc<Self>, connection: &Arc<Connection>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        let names = NameServer::start(sockets, Arc::clone(&self.registry), Arc::downgrade(self));
        let names = names.map_err(|error| format!("serve names: {error}"))?;
        let mut state = self.state();
        if state.closed {
            return Err("the server stops".to_owned());
        }
        state.names = Some(names);
        state.connection = Some(Arc::clone(connection));
        Ok(())
    }

    fn take_event(&self, event: Event, descriptors: Vec<OwnedFd>) {
        let (id, result) = match event {
            Event::Ready => return tracing::warn!("the filler said twice that it is ready"),
            Event::Unable { reason } => return tracing::error!(reason, "the filler is unable to work"),
            Event::Provided { id, address } => match descriptors.into_iter().next() {
                Some(namespace) => (id, Ok(Done::Provided(address, namespace))),
                None => (id, Err("a network came without its descriptor".to_owned())),
            },
            Event::Admitted { id } => (id, Ok(Done::Admitted)),
            Event::Failed { id, reason } => (id, Err(reason)),
        };
        let answer = self.state().pending.remove(&id);
        if answer.is_none_or(|answer| answer.send(result).is_err()) {
            tracing::debug!(id, "nobody waits for a network any more");
        }
    }

    fn lose(&self, connection: &Connection) {
        let (pending, stock, names) = {
            let mut state = self.state();
            state.connection = None;
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.stock), state.names.take())
        };
        drop((pending, stock, names));
        connection.lost.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state stays consistent at every await-free step, also when a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }
}

/// Takes a request off the list when its caller goes away.
struct Forget<'client> {
    client: &'client FillerClient,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.client.state().pending.remove(&self.id);
    }
}

/// Reads the filler's events until it goes away, then replaces it.
async fn listen(client: Weak<FillerClient>, mut connection: Arc<Connection>) {
    loop {
        let received = receive_async(&connection.socket).await;
        let Some(client) = client.upgrade() else { return };
        if let Ok(Some(Received { message, descriptors })) = received {
            client.take_event(message, descriptors);
            continue;
        }
        client.lose(&connection);
        if client.is_closed() {
            return;
        }
        tracing::error!("the process that makes networks ended unexpectedly; starting another");
        connection.process.reap().await;
        loop {
            if client.is_closed() {
                return;
            }
            match connect(&client.options).await {
                Ok((next, sockets)) => match client.adopt(&next, sockets) {
                    Ok(()) => {
                        connection = next;
                        client.restock();
                        break;
                    }
                    Err(error) => tracing::error!(error, "could not replace the process that makes networks"),
                },
                Err(error) => tracing::error!(error, "could not replace the process that makes networks"),
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

async fn connect(options: &FillerOptions) -> Result<(Arc<Connection>, Vec<OwnedFd>), String> {
    let text = |error: io::Error| format!("start the process that makes networks: {error}");
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| text(error.into()))?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|error| text(error.into()))?;
    let process = options.starter.start(theirs).await.map_err(text)?;
    let socket = UnixDatagram::from_std(ours.into()).map_err(text)?;
    let connection = Arc::new(Connection { socket, process, lost: watch::Sender::new(false) });
    let ready = async {
        send_async(&connection.socket, &Request::Setup { server: options.server.clone() }).await?;
        receive_async(&connection.socket).await
    };
    let received = tokio::time::timeout(FILLER_TIMEOUT, ready).await;
    let received = received.map_err(|elapsed| text(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?;
    let reason = match received.map_err(text)? {
        Some(Received { message: Event::Ready, descriptors }) => return Ok((connection, descriptors)),
        Some(Received { message: Event::Unable { reason }, .. }) => reason,
        Some(Received { message: Event::Provided { .. } | Event::Admitted { .. } | Event::Failed { .. }, .. })
        | None => text(io::ErrorKind::InvalidData.into()),
    };
    connection.process.reap().await;
    Err(reason)
}

async fn send_async(socket: &UnixDatagram, request: &Request) -> io::Result<()> {
    socket.async_io(Interest::WRITABLE, || send(socket, request, &[])).await
}

async fn receive_async(socket: &UnixDatagram) -> io::Result<Option<Received<Event>>> {
    socket.async_io(Interest::READABLE, || receive(socket)).await
}
