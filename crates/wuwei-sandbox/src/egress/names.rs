//! The server of names for sandboxes: asks the host's resolvers, and tells nothing that the asker's policy leaves out.
//!
//! It runs in the server, on sockets of the router's network. What a name stands for is not believed by the packet
//! filter: a private address stays out of reach, whoever names it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::client::FillerClient;
use super::registry::{Registry, Tenant};
use admissions::Admissions;
use message::{Question, Refusal, addresses, is_truncated, parse_question, refuse, truncated};
use resolvers::Resolvers;

mod admissions;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod message;
mod resolvers;

/// Longest wait for one resolver.
const RESOLVER_LIMIT: Duration = Duration::from_secs(3);
/// Longest pause of a sandbox on a connection.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Questions of all sandboxes that are looked into at a time.
const QUESTIONS_MAX: usize = 1_024;
/// How long a listed name opens what it stands for, at least: resolvers cache, and connections are opened late.
const ADMITTED_S_MIN: u32 = 300;
/// And at most.
const ADMITTED_S_MAX: u32 = 86_400;

/// How a question travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Datagram,
    Stream,
}

/// Answers questions until it is dropped.
pub(super) struct NameServer(Vec<AbortHandle>);

struct Shared {
    registry: Arc<Registry>,
    filler: Weak<FillerClient>,
    resolvers: Resolvers,
    admissions: Admissions,
}

impl NameServer {
    /// Takes the sockets of a router: UDP, then TCP.
    pub(super) fn start(
        sockets: Vec<OwnedFd>,
        registry: Arc<Registry>,
        filler: Weak<FillerClient>,
    ) -> io::Result<Self> {
        let Ok([datagrams, connections]) = <[OwnedFd; 2]>::try_from(sockets) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (datagrams, connections) = (StdUdpSocket::from(datagrams), StdTcpListener::from(connections));
        datagrams.set_nonblocking(true)?;
        connections.set_nonblocking(true)?;
        let (datagrams, connections) = (UdpSocket::from_std(datagrams)?, TcpListener::from_std(connections)?);
        let shared =
            Arc::new(Shared { registry, filler, resolvers: Resolvers::default(), admissions: Admissions::default() });
        let datagrams = tokio::spawn(serve_datagrams(datagrams, Arc::clone(&shared)));
        let connections = tokio::spawn(serve_connections(connections, shared));
        Ok(Self(vec![datagrams.abort_handle(), connections.abort_handle()]))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn serve_datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let socket = Arc::new(socket);
    let mut questions = JoinSet::new();
    let mut packet = vec![0_u8; 4_096];
    loop {
        tokio::select! {
            Some(_ended) = questions.join_next() => {}
            received = socket.recv_from(&mut packet), if questions.len() < QUESTIONS_MAX => {
                let Ok((length, asker)) = received else { continue };
                let Some(tenant) = shared.tenant(asker) else { continue };
                let Ok(permit) = Arc::clone(&tenant.questions).try_acquire_owned() else { continue };
                let packet = packet.get(..length).unwrap_or_default().to_vec();
                let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
                questions.spawn(async move {
                    if let Some(answer) = shared.answer(&tenant, &packet, Transport::Datagram).await
                        && let Err(error) = socket.send_to(&answer, asker).await
                    {
                        tracing::debug!(%error, "an answer was not sent");
                    }
                    drop(permit);
                });
            }
        }
    }
}

async fn serve_connections(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < QUESTIONS_MAX => {
                let Ok((mut stream, asker)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let Some(tenant) = shared.tenant(asker) else { continue };
                let Ok(permit) = Arc::clone(&tenant.questions).try_acquire_owned() else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    while let Ok(Ok(packet)) = timeout(IDLE_LIMIT, read_framed(&mut stream)).await {
                        let Some(answer) = shared.answer(&tenant, &packet, Transport::Stream).await else { break };
                        if !matches!(timeout(IDLE_LIMIT, write_framed(&mut stream, &answer)).await, Ok(Ok(()))) {
                            break;
                        }
                    }
                    drop(permit);
                });
            }
        }
    }
}

impl Shared {
    fn tenant(&self, asker: SocketAddr) -> Option<Arc<Tenant>> {
        match asker.ip() {
            IpAddr::V4(address) => self.registry.tenant(address),
            IpAddr::V6(_) => None,
        }
    }

    /// The answer; none for what is no question.
    async fn answer(&self, tenant: &Tenant, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = parse_question(packet)?;
        if !tenant.policy.permits_name(&question.name) {
            return Some(refuse(packet, &question, Refusal::Policy));
        }
        let failed = refuse(packet, &question, Refusal::Failure);
        let Some(answer) = self.resolve(packet, &question, transport).await else { return Some(failed) };
        if transport == Transport::Datagram && is_truncated(&answer) {
            return Some(truncated(packet, &question));
        }
        let Some(found) = addresses(&answer, &question) else { return Some(failed) };
        if !found.iter().all(|(address, _)| tenant.policy.permits_answer(*address)) {
            return Some(refuse(packet, &question, Refusal::Policy));
        }
        let ports: Vec<u16> = tenant.policy.ports_of(&question.name).collect();
        // What a list names by its address is open already, and as a name only public addresses are opened.
        let public = || found.iter().filter(|(address, _)| wuwei_model::is_public(*address));
        if !ports.is_empty() && public().next().is_some() {
            let longest = public().map(|(_, seconds)| *seconds).max().unwrap_or(0);
            let seconds = longest.clamp(ADMITTED_S_MIN, ADMITTED_S_MAX);
            let mut opened: Vec<IpAddr> = public().map(|(address, _)| *address).collect();
            opened.sort();
            let admission = admissions::Admission { policy: tenant.policy.clone(), addresses: opened, ports };
            if let Err(error) = self.admissions.admit(&self.filler, admission, seconds).await {
                tracing::warn!(%error, name = question.name, "a listed name could not be opened");
                return Some(failed);
            }
        }
        Some(answer)
    }

    /// Asks the host's resolvers in their order, under a number of our own.
    async fn resolve(&self, packet: &[u8], question: &Question, transport: Transport) -> Option<Vec<u8>> {
        let mut number = [0_u8; 2];
        getrandom::fill(&mut number).ok()?;
        let mut asked = packet.to_vec();
        asked.get_mut(..2)?.copy_from_slice(&number);
        for resolver in self.resolvers.current() {
            let attempt = async {
                match transport {
                    Transport::Datagram => ask_by_datagram(resolver, &asked).await,
                    Transport::Stream => ask_by_stream(resolver, &asked).await,
                }
            };
            if let Ok(Ok(mut answer)) = timeout(RESOLVER_LIMIT, attempt).await
                && question.is_answered_by(&asked, &answer)
            {
                answer.get_mut(..2)?.copy_from_slice(packet.get(..2)?);
                return Some(answer);
            }
        }
        None
    }
}

async fn ask_by_datagram(resolver: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    // A new port for each question: an answer must hit it and the number.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(packet).await?;
    let mut answer = vec![0_u8; 64 * 1024];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn ask_by_stream(resolver: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    write_framed(&mut stream, packet).await?;
    read_framed(&mut stream).await
}

async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut packet = vec![0_u8; usize::from(length)];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

async fn write_framed(stream: &mut TcpStream, packet: &[u8]) -> io::Result<()> {
    let length = u16::try_from(packet.len()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await
}
