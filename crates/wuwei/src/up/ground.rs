//! What is done while the server has one thread, and may be root: what needs root, and giving it up.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::{Resource, Rlimit};
use wuwei_sandbox::{Runtimes, Steward};
use wuwei_store::DirectoryLock;

use super::not_started;
use crate::arguments::UpOptions;
use crate::commands::Session;
use crate::compose::{self, STEWARD_COMMAND};
use crate::config::Settings;
use crate::failure::Failure;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// What the server stands on.
pub(super) struct Ground {
    pub(super) settings: Settings,
    /// Bound, and not blocking.
    pub(super) listener: TcpListener,
    /// Of the data directory, which is the server's user's.
    pub(super) lock: DirectoryLock,
    /// Looked for with the privilege that the server was started with.
    pub(super) runtimes: Runtimes,
    /// Where the server was root.
    pub(super) steward: Option<Steward>,
}

/// Takes what needs privilege, then gives it up.
pub(super) fn prepare(session: &Session, options: &UpOptions) -> Result<Ground, Failure> {
    let mut settings = Settings::load(options, session.data_dir.as_deref(), &session.environment)?;
    super::telemetry::start(session.environment.log_filter.as_deref())?;
    raise_descriptor_limit();
    wuwei_sandbox::keep_secrets_of_server().map_err(not_started)?;
    // Before anything is written: a port that is taken leaves no new data directory behind.
    let listener = bind(settings.listen)?;
    let mut lock = DirectoryLock::acquire_from(&settings.data_dir, wuwei_sandbox::HOST_USERS).map_err(not_started)?;
    let runtimes = compose::discover(&session.environment);
    let mut steward = None;
    if rustix::process::geteuid().is_root() {
        let directory = std::fs::canonicalize(lock.directory()).map_err(not_started)?;
        lock = lock.known_as(directory.clone());
        steward = Some(give_up_root(&lock).map_err(|error| {
            Failure::local("cannot give up root").because(error).hint("`wuwei up` can also run as an ordinary user")
        })?);
        settings.data_dir = directory;
    }
    Ok(Ground { settings, listener, lock, runtimes, steward })
}

/// Leaves a steward to start what needs root, and becomes an unprivileged user that has the data directory.
fn give_up_root(lock: &DirectoryLock) -> Result<Steward, Box<dyn std::error::Error + Send + Sync>> {
    let directory = lock.directory();
    // This very program, also when its file was replaced by a newer version since it started.
    let steward = Steward::start(Path::new("/proc/self/exe"), STEWARD_COMMAND, directory, lock.owner()?)?;
    let user = steward.server_user();
    match wuwei_sandbox::open_way_to(directory) {
        Ok(opened) => {
            lock.hand_over(user, user)?;
            std::env::set_current_dir("/")?;
            wuwei_sandbox::become_user(user)?;
            tracing::info!(user, own_mounts = opened, "root was given up: the server has a user of its own");
        }
        Err(error) => {
            lock.hand_over(0, user)?;
            std::env::set_current_dir("/")?;
            wuwei_sandbox::give_up_capabilities()?;
            let directory = directory.display();
            tracing::warn!(%error, %directory, "the data directory lies where only root gets to: the server stays root, without capabilities");
        }
    }
    Ok(steward)
}

/// Takes as many descriptors as this process may have: many systems start with 1,024, which idle connections alone use up.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        // Once more, with a longer queue than the standard library's.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        Failure::local(format!("cannot listen on `{address}`"))
            .because(error)
            .hint("choose another address with --listen, for example --listen 127.0.0.1:0 for a free port")
    })
}
