//! The server's side of the mounter.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;

use crate::defence::Defences;
use crate::launcher::{Bind, MountAnswer, MountOrder, Received, receive, send};

/// How long the mounter may take for one order, before the host is taken for stuck.
const LIMIT: Duration = Duration::from_secs(5);

type Answer = oneshot::Sender<Result<(), String>>;

/// What a sandbox that stands is to show.
pub(crate) struct Shown<'sandbox> {
    /// Read-only views of the host.
    pub(crate) binds: Vec<Bind>,
    /// Covers its `/tmp`.
    pub(crate) temporary: Option<OwnedFd>,
    /// The document of the assignment that its runtime gets then.
    pub(crate) assignment: String,
    /// Where it waits for that.
    pub(crate) control: BorrowedFd<'sandbox>,
}

/// Speaks to one mounter process, until it ends.
pub(super) struct MounterClient {
    socket: Arc<UnixDatagram>,
    next_id: AtomicU64,
    /// `None` once it has ended.
    pending: Mutex<Option<BTreeMap<u64, Answer>>>,
}

impl MounterClient {
    /// Takes over the socket to a mounter.
    pub(super) fn adopt(socket: OwnedFd) -> io::Result<Arc<Self>> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = Arc::new(UnixDatagram::from_std(socket.into())?);
        let pending = Mutex::new(Some(BTreeMap::new()));
        let client = Arc::new(Self { socket: Arc::clone(&socket), next_id: AtomicU64::new(1), pending });
        tokio::spawn(listen(Arc::downgrade(&client), socket));
        Ok(client)
    }

    /// Shows files of the host in a sandbox, and assigns it.
    pub(super) async fn show(&self, shown: Shown<'_>, namespace: &OwnedFd, defences: Defences) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the mounter is not running");
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.pending().as_mut().ok_or_else(gone)?.insert(id, answer);
        let _forgotten = Forget { client: self, id };
        let Shown { binds, temporary, assignment, control } = shown;
        let order = MountOrder { id, binds, temporary: temporary.is_some(), assignment, defences };
        let descriptors: Vec<_> = [Some(namespace.as_fd()), Some(control), temporary.as_ref().map(OwnedFd::as_fd)]
            .into_iter()
            .flatten()
            .collect();
        self.socket.async_io(Interest::WRITABLE, || send(&self.socket, &order, &descriptors)).await?;
        let answer = tokio::time::timeout(LIMIT, answered)
            .await
            .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?
            .map_err(|_dropped| gone())?;
        answer.map_err(io::Error::other)
    }

    fn pending(&self) -> MutexGuard<'_, Option<BTreeMap<u64, Answer>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an order off the list when nobody waits for it any more.
struct Forget<'client> {
    client: &'client MounterClient,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.client.pending().as_mut() {
            pending.remove(&self.id);
        }
    }
}

async fn listen(client: Weak<MounterClient>, socket: Arc<UnixDatagram>) {
    loop {
        let received = socket.async_io(Interest::READABLE, || receive::<MountAnswer>(&socket)).await;
        let Some(client) = client.upgrade() else { return };
        let Ok(Some(Received { message, descriptors: _none })) = received else {
            *client.pending() = None;
            return;
        };
        let answer = client.pending().as_mut().and_then(|pending| pending.remove(&message.id));
        let result = message.failure.map_or(Ok(()), Err);
        if answer.is_none_or(|answer| answer.send(result).is_err()) {
            tracing::debug!(id = message.id, "nobody waits for a mount any more");
        }
    }
}
