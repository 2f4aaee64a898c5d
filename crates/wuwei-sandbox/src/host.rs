//! The server's side of the launcher: starts it, asks it for sandboxes, hears of their ends, starts it again when it dies.

mod client;
mod controls;
mod mounter;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::cgroup::{LimitFile, Limits, raise};
use crate::control_socket::ControlSocket;
use crate::defence::Defences;
use crate::egress::{Lease, Network};
use crate::helper::HelperStarter;
use crate::instance::ProcessExit;
use crate::launcher::{Isolation, LaunchRequest, Setup};
use crate::process::{ProcessControls, SandboxedProcess};

pub(crate) use client::LauncherClient;
pub(crate) use mounter::Shown;

/// Why the launcher cannot build sandboxes on this host.
#[derive(Debug, Error)]
pub enum StartSandboxError {
    /// The launcher's process could not be started or spoken to.
    #[error("start the sandbox launcher")]
    Launcher(#[source] io::Error),
    /// The host refuses something that sandboxes need; the text names it.
    #[error("this host gives no full sandbox: {0}")]
    Unavailable(String),
}

/// How to start launchers.
#[derive(Clone, Debug)]
pub(crate) struct LauncherOptions {
    /// Starts what calls [`crate::run_launcher`].
    pub(crate) starter: HelperStarter,
    /// First message.
    pub(crate) setup: Setup,
}

/// What it takes to give a sandbox that was built ahead to a function.
pub(crate) struct Reach {
    namespace: OwnedFd,
    limits: Vec<(LimitFile, OwnedFd)>,
}

impl Reach {
    /// Shows the function's files in the sandbox.
    pub(crate) async fn show(&self, client: &LauncherClient, shown: Shown<'_>, defences: Defences) -> io::Result<()> {
        client.show(shown, &self.namespace, defences).await
    }

    /// Raises the sandbox's limits to the function's.
    pub(crate) fn raise_limits(&self, memory_mb: u32) -> io::Result<()> {
        raise(&self.limits, Limits { memory_mb })
    }
}

/// What a sandbox gets that others have made.
#[derive(Default)]
pub(crate) struct Outfit {
    /// Its network; else an empty one.
    pub(crate) network: Option<Network>,
    /// A mount for `/tmp`; else that is in memory.
    pub(crate) temporary: Option<OwnedFd>,
}

/// Asks the launcher for one sandbox and waits until it stands (its program has been started).
pub(crate) async fn launch(
    client: &Arc<LauncherClient>,
    request: LaunchRequest,
    outfit: Outfit,
) -> io::Result<SandboxedProcess> {
    Ok(stand(client, request, outfit).await?.0)
}

/// As [`launch`], for a sandbox that waits for its function.
pub(crate) async fn launch_ahead(
    client: &Arc<LauncherClient>,
    request: LaunchRequest,
    outfit: Outfit,
) -> io::Result<(SandboxedProcess, Reach)> {
    let (process, reach) = stand(client, request, outfit).await?;
    Ok((process, reach.ok_or_else(|| io::Error::other("a sandbox was not built ahead"))?))
}

async fn stand(
    client: &Arc<LauncherClient>,
    request: LaunchRequest,
    outfit: Outfit,
) -> io::Result<(SandboxedProcess, Option<Reach>)> {
    let Outfit { network, temporary } = outfit;
    let (network, lease) = network.map(|network| (network.namespace, network.lease)).unzip();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (output, output_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let wanted = [request.runtime_api, request.relay];
    let started = client.launch(request, &theirs.into(), &output_end, temporary.as_ref(), network.as_ref()).await?;
    if let Some(lease) = &lease {
        end_without_network(lease, started.exit.clone(), Arc::downgrade(&started.controls));
    }
    let mut listeners = started.listeners.into_iter();
    let [runtime_api, relay] = wanted.map(|wanted| if wanted { listeners.next() } else { None });
    let process = SandboxedProcess {
        control: ControlSocket::new(ours)?,
        runtime_api: runtime_api.map(listener).transpose()?,
        relay_listener: relay.map(listener).transpose()?,
        relay: None,
        lease,
        output: pipe::Receiver::from_owned_fd(output)?,
        reaped: started.reaped,
        exit: started.exit,
        controls: started.controls,
    };
    Ok((process, started.reach))
}

/// A sandbox whose network has ended would wait for answers for ever: it ends, too, and the next one gets a new network.
fn end_without_network(
    lease: &Lease,
    mut exit: watch::Receiver<Option<ProcessExit>>,
    controls: Weak<dyn ProcessControls>,
) {
    let mut lost = lease.lost();
    tokio::spawn(async move {
        let ended = tokio::select! {
            lost = lost.wait_for(|lost| *lost) => lost.is_ok(),
            _exit = exit.wait_for(Option::is_some) => false,
        };
        if let Some(controls) = controls.upgrade().filter(|_controls| ended) {
            controls.kill();
        }
    });
}

fn listener(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Builds one sandbox and lets it run a program that does nothing, to learn whether this host allows it.
pub(crate) async fn probe(client: &Arc<LauncherClient>, isolation: Isolation) -> Result<(), StartSandboxError> {
    let request = LaunchRequest {
        id: 0,
        name: "probe".to_owned(),
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".to_owned(), ":".to_owned()],
        wrapper: None,
        environment: Vec::new(),
        working_directory: PathBuf::from("/"),
        binds: Vec::new(),
        memory_mb: wuwei_model::limits::MEMORY_MB_MIN,
        ephemeral_mb: wuwei_model::limits::EPHEMERAL_MB_MIN,
        temporary: false,
        control: false,
        runtime_api: isolation == Isolation::Full,
        relay: isolation == Isolation::Full,
        ahead: None,
        zygote: None,
        defences: Defences::default(),
    };
    let unavailable = |error: io::Error| StartSandboxError::Unavailable(error.to_string());
    let mut process = launch(client, request, Outfit::default()).await.map_err(unavailable)?;
    let exit = process.exit.wait_for(Option::is_some).await.map(|exit| *exit);
    match exit {
        Ok(Some(ProcessExit::Code(0))) => Ok(()),
        Ok(other) => Err(StartSandboxError::Unavailable(format!("the probe in it ended with {other:?}"))),
        Err(error) => Err(StartSandboxError::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod zygote_tests;
