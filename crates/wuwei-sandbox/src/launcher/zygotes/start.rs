//! From a fresh clone of the launcher to a zygote.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};
use serde::Serialize;

use super::super::channel::send;
use super::super::enclosure::{Step, at_step, leave, set_resource_limits};
use super::super::mounts::View;
use super::super::protocol::ZygoteKind;
use super::super::slot::{Ground, binds, prefer_as_victim};
use crate::defence::Defences;
use crate::privilege::{keep_only, of_zygote};
use crate::sys::{Cloned, clone_process, close_on_exec_from, execute, place_descriptor};

/// A zygote writes no files.
const TEMPORARY_MB: u32 = 1;

/// A zygote that boots.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) socket: OwnedFd,
    pub(super) output: OwnedFd,
}

/// First packet to a zygote: the filter that its forks install.
#[derive(Serialize)]
struct Setup {
    filter: String,
}

/// Starts a zygote. It has files as a sandbox has them, no network, and stays among the host's processes: only those can
/// enter a sandbox's.
pub(super) fn start(ground: &Ground, kind: &ZygoteKind) -> Result<Started, Step> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (socket, its_socket) = at_step("make a zygote's socket", pair)?;
    let (output, its_output) = at_step("make a zygote's pipe", pipe_with(PipeFlags::CLOEXEC))?;
    for ours in [&socket, &output] {
        at_step("never wait for a zygote", rustix::io::ioctl_fionbio(ours, true))?;
    }
    let binds = at_step("prepare mount points", binds(&ground.template, &kind.binds))?;
    let defences = Defences::default();
    let view = View {
        template: ground.template.root(),
        binds: &binds,
        ephemeral_mb: TEMPORARY_MB,
        has_processes: false,
        temporary: None,
        defences: &defences,
    };
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    match at_step("clone a zygote", clone_process(u64::from(namespaces.unsigned_abs()), None))? {
        Cloned::Child => {
            let step = match prepare(&view, &its_socket, &its_output) {
                Ok(()) => Step::new("execute", execute(&kind.program, &kind.arguments, &kind.environment)),
                Err(step) => step,
            };
            // The launcher's log has it then.
            drop(writeln!(fs::File::from(its_output), "{step}"));
            leave(1)
        }
        Cloned::Parent { pid, pidfd } => {
            let filter = Setup { filter: ground.filter.to_hex() };
            // Its forks take it over from it.
            let ready = prefer_as_victim(pid).and_then(|()| send(&socket, &filter, &[]));
            at_step("prefer a zygote as victim, and send its filter", ready)?;
            Ok(Started { pid, pidfd, socket, output })
        }
    }
}

fn prepare(view: &View<'_>, socket: &OwnedFd, output: &OwnedFd) -> Result<(), Step> {
    view.enter()?;
    let prepared = || {
        let null = fs::File::open("/dev/null")?;
        let socket = rustix::io::fcntl_dupfd_cloexec(socket, 10)?;
        let output = rustix::io::fcntl_dupfd_cloexec(output, 10)?;
        for (source, number) in [(null.as_fd(), 0), (output.as_fd(), 1), (output.as_fd(), 2), (socket.as_fd(), 3)] {
            place_descriptor(&source, number)?;
        }
        close_on_exec_from(4)?;
        Ok(rustix::process::setsid()?)
    };
    at_step::<_, io::Error>("prepare the zygote's process", prepared())?;
    set_resource_limits(view.defences)?;
    keep_only(of_zygote())?;
    at_step("set no_new_privs", rustix::thread::set_no_new_privs(true))?;
    at_step("die with the launcher", rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))
}
