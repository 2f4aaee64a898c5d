use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use rustix::time::Timespec;

use super::is_plain_name;
use super::protocol::{Answer, Helper, Request};
use crate::cgroup::Hierarchies;
use crate::launcher::{HostUsers, Received, appointed_template, claim_name, receive, send};
use crate::privilege::{confine, of_steward};
use crate::sys::adopt_launcher_socket;

/// This very program, also when its file was replaced by a newer version since it started.
const PROGRAM: &str = "/proc/self/exe";

/// How long the last server's helpers are waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// How this program becomes a helper: the arguments that it gets, before `--server NAME --first-user NUMBER`.
#[derive(Clone, Copy, Debug)]
pub struct HelperCommands {
    /// Its `main` calls [`crate::run_launcher`].
    pub launcher: &'static str,
    /// Its `main` calls [`crate::run_filler`].
    pub filler: &'static str,
    /// Its `main` calls [`crate::run_keeper`].
    pub keeper: &'static str,
}

/// Runs a steward on the socket at descriptor 0 until the server has gone away and every helper has ended. Nothing else
/// may run in this process.
///
/// # Errors
/// When the socket fails: the server sees it closed, and can start no helpers any more.
pub fn run_steward(commands: HelperCommands) -> io::Result<()> {
    let socket = adopt_launcher_socket()?;
    confine(of_steward()).map_err(|step| io::Error::other(step.to_string()))?;
    let Some(Received { message: Request::Setup { server, owner }, .. }) = receive::<Request>(&socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a steward is started by `wuwei up` only"));
    };
    if !is_plain_name(&server) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the server's name cannot be part of a path"));
    }
    // In this order: the steward before this one has its users until it ends.
    let claimed = claim_server(&server).and_then(|claim| Ok((claim, HostUsers::claim_again(&server, owner)?)));
    match claimed {
        Ok((claim, users)) => {
            send(&socket, &Answer::Ready { user: users.of_server() }, &[])?;
            Steward { commands, server, users, _claim: claim, helpers: Vec::new() }.serve(socket)
        }
        Err(error) => send(&socket, &Answer::Failed { reason: error.to_string() }, &[]),
    }
}

/// Waits until nobody cleans up after a server of this name any more.
fn claim_server(server: &str) -> io::Result<OwnedFd> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(claim) = claim_name(&format!("wuwei-server-{server}"))? {
            return Ok(claim);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("the helpers of the last server on this data directory have not ended"));
        }
        match poll(&mut [], Some(&PAUSE)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes what the last launcher has left, which may have been killed. A host without control groups has none.
fn remove_groups(server: &str) {
    // Found again as they were made.
    let removed = Hierarchies::prepare_here(server).map(|hierarchies| hierarchies.remove());
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "could not remove the server's control groups");
    }
}

struct Steward {
    commands: HelperCommands,
    server: String,
    /// Held until the last helper has ended, so that no other server's sandboxes get the same.
    users: HostUsers,
    /// Held as long: whoever comes next begins when this one has cleaned up.
    _claim: OwnedFd,
    helpers: Vec<OwnedFd>,
}

impl Steward {
    fn serve(mut self, socket: OwnedFd) -> io::Result<()> {
        let mut server = Some(socket);
        while server.is_some() || !self.helpers.is_empty() {
            let (asked, ended) = self.wait(server.as_ref())?;
            for index in ended.into_iter().rev() {
                let helper = self.helpers.swap_remove(index);
                waitid(WaitId::PidFd(helper.as_fd()), WaitIdOptions::EXITED)?;
            }
            if let Some(socket) = server.as_ref().filter(|_| asked)
                && !self.answer(socket)?
            {
                server = None;
            }
        }
        remove_groups(&self.server);
        match std::fs::remove_dir_all(appointed_template(&self.server)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until the server asks or a helper ends: whether it does, and the indices of those, in order.
    fn wait(&self, server: Option<&OwnedFd>) -> io::Result<(bool, Vec<usize>)> {
        let watched = self.helpers.iter().chain(server);
        let mut watched: Vec<PollFd<'_>> = watched.map(|file| PollFd::new(file, PollFlags::IN)).collect();
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready: Vec<usize> =
            watched.iter().enumerate().filter(|(_, file)| !file.revents().is_empty()).map(|(index, _)| index).collect();
        let asked = ready.last() == Some(&self.helpers.len());
        if asked {
            ready.pop();
        }
        Ok((asked, ready))
    }

    /// False when the server has gone away.
    fn answer(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        let Some(Received { message, descriptors }) = receive::<Request>(socket)? else { return Ok(false) };
        let started = match (message, descriptors.into_iter().next()) {
            (Request::Start(helper), Some(descriptor)) => self.start(helper, descriptor),
            (Request::Start(_), None) => Err(io::Error::other("no socket came with the request")),
            (Request::Setup { .. }, _) => Err(io::Error::other("a second set-up")),
        };
        let answer = match started {
            Ok(pid) => Answer::Started { pid: pid.as_raw_pid() },
            Err(error) => Answer::Failed { reason: error.to_string() },
        };
        match send(socket, &answer, &[]) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn start(&mut self, helper: Helper, socket: OwnedFd) -> io::Result<Pid> {
        let command = match helper {
            Helper::Launcher => self.commands.launcher,
            Helper::Filler => self.commands.filler,
            Helper::Keeper => self.commands.keeper,
        };
        #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
        let process = Command::new(PROGRAM)
            .args([command, "--server", &self.server, "--first-user", &self.users.first().to_string()])
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&process);
        // It cannot be another process by now: nobody but this one collects its end.
        self.helpers.push(pidfd_open(pid, PidfdFlags::empty())?);
        Ok(pid)
    }
}
