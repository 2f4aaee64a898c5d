use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{oneshot, watch};

use super::controls::RemoteControls;
use super::mounter::{MounterClient, Shown};
use super::{LauncherOptions, Reach, StartSandboxError};
use crate::cgroup::{LimitFile, Meter, MeterFile};
use crate::defence::Defences;
use crate::helper::HelperProcess;
use crate::instance::{ProcessExit, Usage};
use crate::launcher::{Event, LaunchRequest, Received, Request, receive, send};
use crate::process::ProcessControls;

/// How long the launcher may take to set up, or to build one sandbox, before the host is taken for stuck.
const LAUNCHER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause before a launcher that died is replaced, so that one that cannot start does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// A sandbox that stands.
pub(super) struct Started {
    /// In the order of the protocol.
    pub(super) listeners: Vec<OwnedFd>,
    pub(super) reaped: Arc<OnceLock<Usage>>,
    pub(super) exit: watch::Receiver<Option<ProcessExit>>,
    pub(super) controls: Arc<dyn ProcessControls>,
    /// Of one that was built ahead.
    pub(super) reach: Option<Reach>,
}

/// The descriptors of a sandbox that stands.
struct Descriptors {
    listeners: Vec<OwnedFd>,
    meter: Vec<(MeterFile, OwnedFd)>,
    reach: Option<Reach>,
}

type StartAnswer = Result<Descriptors, String>;

/// A launch that was asked for, or a sandbox that runs.
struct Entry {
    /// Taken by the first answer.
    answer: Option<oneshot::Sender<StartAnswer>>,
    exit: watch::Sender<Option<ProcessExit>>,
    /// Set before `exit` changes.
    final_usage: Arc<OnceLock<Usage>>,
}

/// One launcher process and the socket to it; replaced as a whole when it dies.
struct Connection {
    /// A `SOCK_SEQPACKET` socket: to the event loop it is like any other that keeps packets apart.
    socket: UnixDatagram,
    process: HelperProcess,
}

struct State {
    connection: Option<Arc<Connection>>,
    mounter: Option<Arc<MounterClient>>,
    entries: BTreeMap<u64, Entry>,
    closed: bool,
}

/// Speaks to the launcher. Shared by everything that starts or ends sandboxes.
pub(crate) struct LauncherClient {
    options: LauncherOptions,
    next_id: AtomicU64,
    state: Mutex<State>,
}

impl LauncherClient {
    /// Starts a launcher and waits until it is set up.
    pub(crate) async fn start(options: LauncherOptions) -> Result<Arc<Self>, StartSandboxError> {
        let (connection, mounter) = connect(&options).await?;
        let state =
            State { connection: Some(Arc::clone(&connection)), mounter, entries: BTreeMap::new(), closed: false };
        let client = Arc::new(Self { options, next_id: AtomicU64::new(1), state: Mutex::new(state) });
        tokio::spawn(listen(Arc::downgrade(&client), connection));
        Ok(client)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state stays consistent at every await-free step, also when a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> io::Result<Arc<Connection>> {
        self.state()
            .connection
            .clone()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the launcher is not running"))
    }

    /// Asks for a sandbox and waits until it stands. Cancel-safe: an unwanted sandbox is killed.
    pub(super) async fn launch(
        self: &Arc<Self>,
        mut request: LaunchRequest,
        control: &OwnedFd,
        output: &OwnedFd,
        temporary: Option<&OwnedFd>,
        network: Option<&OwnedFd>,
    ) -> io::Result<Started> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        request.id = id;
        request.temporary = temporary.is_some();
        let defences = request.defences.clone();
        let (answer, answered) = oneshot::channel();
        let (exit, exit_receiver) = watch::channel(None);
        let final_usage = Arc::new(OnceLock::new());
        let connection = self.connection()?;
        self.state().entries.insert(id, Entry { answer: Some(answer), exit, final_usage: Arc::clone(&final_usage) });
        let mut unwanted = KillUnlessKept { client: Some(Arc::clone(self)), id };
        let request = Request::Launch(Box::new(request));
        let descriptors: Vec<BorrowedFd<'_>> = [Some(control), Some(output), temporary, network]
            .into_iter()
            .flatten()
            .map(|descriptor| descriptor.as_fd())
            .collect();
        let sent = send_async(&connection.socket, &request, &descriptors).await;
        if let Err(error) = sent {
            self.state().entries.remove(&id);
            unwanted.client = None;
            return Err(error);
        }
        let answer = tokio::time::timeout(LAUNCHER_TIMEOUT, answered)
            .await
            .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?
            .map_err(|_gone| io::Error::new(io::ErrorKind::NotConnected, "the launcher ended"))?;
        unwanted.client = None;
        let Descriptors { listeners, meter, reach } = answer.map_err(io::Error::other)?;
        let (meter, client, before_us) = (Meter::new(meter), Arc::clone(self), OnceLock::new());
        let reaped = Arc::clone(&final_usage);
        let controls = Arc::new(RemoteControls { id, meter, final_usage, client, defences, before_us });
        Ok(Started { listeners, reaped, exit: exit_receiver, controls, reach })
    }

    /// Whether sandboxes can be built ahead now.
    pub(crate) fn has_mounter(&self) -> bool {
        self.state().mounter.is_some()
    }

    /// Shows files of the host in a sandbox that was built ahead.
    pub(super) async fn show(&self, shown: Shown<'_>, namespace: &OwnedFd, defences: Defences) -> io::Result<()> {
        let mounter = self.state().mounter.clone();
        let mounter = mounter.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "there is no mounter"))?;
        mounter.show(shown, namespace, defences).await
    }

    /// Kills a sandbox; one that is gone already is left alone.
    pub(super) fn kill(self: &Arc<Self>, id: u64) {
        let connection = {
            let state = self.state();
            if !state.entries.contains_key(&id) {
                return;
            }
            state.connection.clone()
        };
        // Without a launcher there is no sandbox: it took them with it.
        let Some(connection) = connection else { return };
        let request = Request::Kill { id };
        match send(&connection.socket, &request, &[]) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::spawn(async move {
                    if let Err(error) = send_async(&connection.socket, &request, &[]).await {
                        tracing::debug!(%error, "the launcher ended before it heard of a kill");
                    }
                });
            }
            Err(error) => tracing::debug!(%error, "the launcher ended before it heard of a kill"),
        }
    }

    /// Ends the launcher and with it every sandbox; returns when it has cleaned up.
    pub(crate) async fn shut_down(&self) {
        let connection = {
            let mut state = self.state();
            state.closed = true;
            state.connection.take()
        };
        let Some(connection) = connection else { return };
        // Half a close: the launcher sees the end of requests, and the listener sees it go.
        if let Err(error) = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Write) {
            tracing::debug!(%error, "the launcher was gone already");
        }
        let wait = async move {
            // Readable and empty means that the launcher has exited, which it does after its clean-up.
            while let Ok(Some(_)) = receive_async::<Event>(&connection.socket).await {}
            connection
        };
        match tokio::time::timeout(LAUNCHER_TIMEOUT, wait).await {
            Ok(connection) => connection.process.reap().await,
            Err(_elapsed) => tracing::warn!("the launcher did not finish its clean-up in time"),
        }
    }

    /// Kills the launcher as an outside force would.
    #[cfg(test)]
    pub(crate) fn kill_launcher(&self) {
        let connection = self.connection().unwrap();
        rustix::process::kill_process(connection.process.pid(), rustix::process::Signal::KILL).unwrap();
    }

    fn take_event(&self, event: Event, descriptors: Vec<OwnedFd>) {
        let mut state = self.state();
        match event {
            Event::Ready => tracing::warn!("the launcher said twice that it is ready"),
            Event::Unable { reason } => tracing::error!(reason, "the launcher is unable to work"),
            Event::Mounter => state.mounter = mounter_of(descriptors),
            Event::Started { id, listeners, meter, limits } => {
                let mut descriptors = descriptors.into_iter();
                let started = Descriptors {
                    listeners: descriptors.by_ref().take(listeners).collect(),
                    meter: meter.into_iter().map_while(|kind| Some((kind, descriptors.next()?))).collect(),
                    reach: limits.and_then(|limits| reach_of(limits, descriptors)),
                };
                let answer = state.entries.get_mut(&id).and_then(|entry| entry.answer.take());
                // When nobody waits any more, the guard of the caller has sent a kill.
                if let Some(Err(_unwanted)) = answer.map(|answer| answer.send(Ok(started))) {
                    tracing::debug!(id, "a sandbox stands that nobody waits for");
                }
            }
            Event::Failed { id, reason } => {
                let answer = state.entries.remove(&id).and_then(|entry| entry.answer);
                if let Some(Err(Err(reason))) = answer.map(|answer| answer.send(Err(reason))) {
                    tracing::debug!(id, reason, "a sandbox failed that nobody waits for");
                }
            }
            Event::Exited { id, exit, usage } => {
                if let Some(entry) = state.entries.remove(&id) {
                    if entry.final_usage.set(usage).is_err() {
                        tracing::warn!(id, "a sandbox ended twice");
                    }
                    entry.exit.send_replace(Some(exit));
                }
            }
        }
    }

    /// The launcher is gone, and its sandboxes with it.
    fn lose_connection(&self) {
        let entries = {
            let mut state = self.state();
            state.connection = None;
            state.mounter = None;
            std::mem::take(&mut state.entries)
        };
        for (_, entry) in entries {
            entry.exit.send_replace(Some(ProcessExit::Lost));
        }
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }
}

/// Kills a sandbox whose caller went away before it stood.
struct KillUnlessKept {
    client: Option<Arc<LauncherClient>>,
    id: u64,
}

impl Drop for KillUnlessKept {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.kill(self.id);
        }
    }
}

/// Reads the launcher's events until it goes away, then replaces it.
async fn listen(client: Weak<LauncherClient>, mut connection: Arc<Connection>) {
    loop {
        let received = receive_async::<Event>(&connection.socket).await;
        let Some(client) = client.upgrade() else { return };
        match received {
            Ok(Some(Received { message, descriptors })) => client.take_event(message, descriptors),
            Ok(None) | Err(_) => {
                client.lose_connection();
                if client.is_closed() {
                    return;
                }
                tracing::error!("the sandbox launcher ended unexpectedly; starting another");
                connection.process.reap().await;
                match reconnect(&client).await {
                    Some(next) => connection = next,
                    None => return,
                }
            }
        }
    }
}

async fn reconnect(client: &LauncherClient) -> Option<Arc<Connection>> {
    loop {
        if client.is_closed() {
            return None;
        }
        match connect(&client.options).await {
            Ok((connection, mounter)) => {
                let mut state = client.state();
                // Shut down meanwhile: what nobody holds ends.
                if state.closed {
                    return None;
                }
                state.connection = Some(Arc::clone(&connection));
                state.mounter = mounter;
                return Some(connection);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::error!(%error, cause, "could not replace the sandbox launcher; trying again");
            }
        }
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

/// The mounter whose socket came along, if there is one.
fn mounter_of(descriptors: Vec<OwnedFd>) -> Option<Arc<MounterClient>> {
    let adopted = MounterClient::adopt(descriptors.into_iter().next()?);
    adopted.inspect_err(|error| tracing::warn!(%error, "sandboxes are not built ahead")).ok()
}

fn reach_of(limits: Vec<LimitFile>, mut descriptors: impl Iterator<Item = OwnedFd>) -> Option<Reach> {
    let namespace = descriptors.next()?;
    Some(Reach { namespace, limits: limits.into_iter().zip(descriptors).collect() })
}

type Connected = (Arc<Connection>, Option<Arc<MounterClient>>);

async fn connect(options: &LauncherOptions) -> Result<Connected, StartSandboxError> {
    let failed = StartSandboxError::Launcher;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| failed(error.into()))?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|error| failed(error.into()))?;
    let process = options.starter.start(theirs).await.map_err(failed)?;
    let socket = UnixDatagram::from_std(ours.into()).map_err(failed)?;
    let connection = Connection { socket, process };
    let ready = async {
        send_async(&connection.socket, &Request::Setup(options.setup.clone()), &[]).await?;
        receive_async::<Event>(&connection.socket).await
    };
    let event = tokio::time::timeout(LAUNCHER_TIMEOUT, ready)
        .await
        .map_err(|elapsed| failed(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?
        .map_err(failed)?;
    let (message, descriptors) = event.map(|received| (received.message, received.descriptors)).unzip();
    match message {
        Some(Event::Ready) => Ok((Arc::new(connection), mounter_of(descriptors.unwrap_or_default()))),
        Some(Event::Unable { reason }) => Err(StartSandboxError::Unavailable(reason)),
        Some(Event::Mounter | Event::Started { .. } | Event::Failed { .. } | Event::Exited { .. }) | None => {
            Err(failed(io::Error::new(io::ErrorKind::InvalidData, "the launcher ended before it was ready")))
        }
    }
}

async fn send_async(socket: &UnixDatagram, request: &Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    socket.async_io(Interest::WRITABLE, || send(socket, request, descriptors)).await
}

async fn receive_async<Message: serde::de::DeserializeOwned>(
    socket: &UnixDatagram,
) -> io::Result<Option<Received<Message>>> {
    socket.async_io(Interest::READABLE, || receive(socket)).await
}
