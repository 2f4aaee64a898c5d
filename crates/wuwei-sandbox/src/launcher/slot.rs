//! One sandbox from the launcher's side: clone, map, watch, clean up.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Gid, Uid};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::Timespec;

use super::channel::{receive, send};
use super::enclosure::{Begin, Enclosure, Proceed, Report, Step, at_step, leave, namespaces_wanted};
use super::protocol::{Bind, Isolation, LaunchRequest, Setup, ZygoteKind};
use super::template::{SANDBOX_GID, SANDBOX_UID, Template};
use super::users::HostUsers;
use crate::cgroup::{Hierarchies, LimitFile, Limits, Meter, MeterFile, SlotCgroup};
use crate::defence::{Defence, Defences};
use crate::instance::{ProcessExit, Usage};
use crate::seccomp::Filter;
use crate::sys::{Cloned, clone_process, clone_process_of, map_owners};

/// How long a first process may take for its first word, until the host is taken for stuck.
const OWNER_LIMIT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What all slots of a launcher share.
pub(super) struct Ground {
    pub(super) setup: Setup,
    pub(super) template: Template,
    /// Absent only in reduced isolation, on hosts without writable control groups.
    pub(super) hierarchies: Option<Hierarchies>,
    pub(super) filter: Filter,
    /// Where slots get host users of their own from; absent when the launcher is no root and may not give any.
    pub(super) users: Option<HostUsers>,
    /// The launcher's own network namespace.
    pub(super) network: OwnedFd,
    /// The launcher's own process.
    pub(super) launcher: OwnedFd,
}

/// What the server gives to a sandbox.
pub(super) struct Handed {
    pub(super) control: OwnedFd,
    pub(super) output: OwnedFd,
    /// A network that was made ready; without it the sandbox gets an empty one.
    pub(super) network: Option<OwnedFd>,
    /// A mount for `/tmp`, attached nowhere yet; without it that is in memory.
    pub(super) temporary: Option<OwnedFd>,
}

/// A mount namespace, and the files of limits.
pub(super) type Reach = (OwnedFd, Vec<(LimitFile, OwnedFd)>);

/// A sandbox that waits for its runtime.
pub(super) struct Waiting {
    pub(super) kind: ZygoteKind,
    pub(super) handed: Handed,
    pub(super) working_directory: PathBuf,
    /// Its listeners, once it stands.
    pub(super) listeners: Vec<OwnedFd>,
}

/// A sandbox that was cloned and is not yet cleaned up.
pub(super) struct Slot {
    pub(super) id: u64,
    /// Index that its uid derives from; free again when the slot is dropped.
    pub(super) index: u32,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) report: OwnedFd,
    cgroup: Option<SlotCgroup>,
    defences: Defences,
    /// Names of the namespaces that others will enter, in the order of those that came with its report.
    wanted: &'static [&'static str],
    /// Once it stands, until they are not needed any more.
    namespaces: Vec<OwnedFd>,
    /// What is kept until a runtime is there that may be forked.
    pub(super) waiting: Option<Waiting>,
    /// Whether the server knows it as started.
    pub(super) started: bool,
    /// Why it could not be built.
    pub(super) broken: Option<String>,
    /// Why the runtime's program could not be executed.
    not_executed: Option<i32>,
    ended: Option<i32>,
}

impl Slot {
    /// Clones a sandbox; it builds itself from here on and reports.
    pub(super) fn launch(ground: &Ground, request: &LaunchRequest, index: u32, handed: Handed) -> Result<Self, Step> {
        let limits = Limits { memory_mb: request.memory_mb };
        let cgroup = match &ground.hierarchies {
            Some(hierarchies) => Some(at_step(
                "make control groups",
                SlotCgroup::create(hierarchies, &request.name, limits, &request.defences).map_err(io::Error::other),
            )?),
            None => None,
        };
        let launched = Self::clone_enclosed(ground, request, index, &handed, cgroup.as_ref());
        match launched {
            Ok((pid, pidfd, report)) => Ok(Self {
                id: request.id,
                index,
                pid,
                pidfd,
                report,
                cgroup,
                defences: request.defences.clone(),
                wanted: namespaces_wanted(request),
                namespaces: Vec::new(),
                waiting: request.zygote.clone().map(|kind| Waiting {
                    kind,
                    handed,
                    working_directory: request.working_directory.clone(),
                    listeners: Vec::new(),
                }),
                started: false,
                broken: None,
                not_executed: None,
                ended: None,
            }),
            Err(step) => {
                if let Some(Err(error)) = cgroup.map(|cgroup| cgroup.remove()) {
                    tracing::warn!(%error, "could not remove the control groups of a sandbox that was not built");
                }
                Err(step)
            }
        }
    }

    fn clone_enclosed(
        ground: &Ground,
        request: &LaunchRequest,
        index: u32,
        handed: &Handed,
        cgroup: Option<&SlotCgroup>,
    ) -> Result<(Pid, OwnedFd, OwnedFd), Step> {
        let uid = at_step("choose a host user", ground.users.as_ref().map(|users| users.of_slot(index)).transpose())?;
        if let Some(uid) = uid {
            // Else opening /dev/stdout inside would be refused: the pipe belongs to the server's user.
            at_step(
                "own the output",
                rustix::fs::fchown(&handed.output, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))),
            )?;
        }
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = at_step("make report socket", pair)?;
        let enclosure = Enclosure {
            request,
            isolation: ground.setup.isolation,
            template: ground.template.root().to_owned(),
            binds: at_step("prepare mount points", binds(&ground.template, &request.binds))?,
            filter: &ground.filter,
            tasks: at_step("open control groups", cgroup.map_or_else(|| Ok(Vec::new()), SlotCgroup::open_tasks))?,
            report: theirs,
            launcher: &ground.launcher,
            control: &handed.control,
            output: &handed.output,
            temporary: handed.temporary.as_ref(),
            empty_network: handed.network.is_none(),
            reduced_uid: uid,
        };
        let unified = at_step("open control group", cgroup.map_or(Ok(None), SlotCgroup::open_unified))?;
        let flags = match ground.setup.isolation {
            Isolation::Full => namespaces(&request.defences),
            Isolation::Reduced => 0,
        };
        let network = handed.network.as_ref().map(|ready| (ready, &ground.network));
        let owner = match ground.setup.isolation {
            Isolation::Full => uid.filter(|_| request.defences.include(Defence::OwnAccount)),
            Isolation::Reduced => None,
        };
        match clone_in(network, owner, flags, unified.as_ref())? {
            Cloned::Child => leave(enclosure.run()),
            Cloned::Parent { pid, pidfd } => {
                let mapped = match ground.setup.isolation {
                    Isolation::Full => {
                        map_identity(pid, uid).and_then(|()| own_temporary(&ours, handed.temporary.as_ref()))
                    }
                    Isolation::Reduced => Ok(()),
                };
                let proceeded = mapped.and_then(|()| prefer_as_victim(pid)).and_then(|()| send(&ours, &Proceed, &[]));
                if let Err(error) = proceeded {
                    kill_and_reap(&pidfd);
                    return Err(Step::new("map the user namespace and prefer as victim", error));
                }
                Ok((pid, pidfd, ours))
            }
        }
    }

    /// Takes one report; gives the listeners with [`Report::Enclosed`], and keeps the namespaces.
    pub(super) fn take_report(&mut self) -> io::Result<Option<(bool, Vec<OwnedFd>)>> {
        let Some(received) = receive::<Report>(&self.report)? else { return Ok(None) };
        match received.message {
            Report::Enclosed { listeners } => {
                let mut descriptors = received.descriptors;
                self.namespaces = descriptors.split_off(listeners.min(descriptors.len()));
                return Ok(Some((true, descriptors)));
            }
            Report::Owner => {}
            Report::Broken(reason) => self.broken = Some(reason),
            Report::NotExecuted(error) => self.not_executed = Some(error),
            Report::Ended(ended) => self.ended = Some(ended),
        }
        Ok(Some((false, Vec::new())))
    }

    /// Tells the first process of a sandbox that waits where its runtime is; gives its listeners.
    pub(super) fn begin(&mut self, begin: &Begin) -> io::Result<Vec<OwnedFd>> {
        let listeners = self.waiting.take().map_or_else(Vec::new, |waiting| waiting.listeners);
        send(&self.report, begin, &[])?;
        Ok(listeners)
    }

    /// What lets a process into its control groups.
    pub(super) fn open_groups(&self) -> io::Result<(Vec<fs::File>, Option<OwnedFd>)> {
        let Some(cgroup) = &self.cgroup else { return Ok((Vec::new(), None)) };
        Ok((cgroup.open_tasks()?, cgroup.open_unified()?))
    }

    /// Kills everything inside; the pid descriptor tells when it is gone.
    pub(super) fn kill(&self) {
        self.kill_group();
        // The first process takes the rest of its pid namespace along (in full isolation).
        if let Err(error) = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            tracing::debug!(%error, "sandbox was gone already");
        }
    }

    fn kill_group(&self) {
        if let (Some(cgroup), true) = (&self.cgroup, self.defences.include(Defence::GroupKill)) {
            cgroup.kill();
        }
    }

    /// Reaps the first process; to be called when the pid descriptor is readable.
    pub(super) fn reap(&mut self) -> io::Result<ProcessExit> {
        rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        // What it reported last may be unread.
        while self.ended.is_none() && matches!(self.take_report(), Ok(Some(_))) {}
        let out_of_memory = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0);
        // Reduced isolation has no pid namespace that would have ended the others.
        self.kill_group();
        if let Some(error) = self.not_executed {
            return Ok(ProcessExit::NotExecuted(error));
        }
        Ok(match self.ended {
            Some(code) if code >= 0 => ProcessExit::Code(code),
            Some(signal) if -signal == libc::SIGKILL && out_of_memory => ProcessExit::OutOfMemory,
            Some(signal) => ProcessExit::Signal(-signal),
            None if out_of_memory => ProcessExit::OutOfMemory,
            None => ProcessExit::Lost,
        })
    }

    /// Removes the control groups; false when they are still busy and it must be tried again.
    pub(super) fn clean_up(&self) -> bool {
        match self.cgroup.as_ref().map(SlotCgroup::remove) {
            None | Some(Ok(())) => true,
            Some(Err(error)) if error.raw_os_error() == Some(libc::EBUSY) => {
                self.kill();
                false
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "could not remove the control groups of a sandbox");
                true
            }
        }
    }

    /// The files that tell what it uses, and that freeze it.
    pub(super) fn open_meter(&self) -> Vec<(MeterFile, OwnedFd)> {
        match self.cgroup.as_ref().map(SlotCgroup::open_meter).transpose() {
            Ok(meter) => meter.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "could not open the meter of a sandbox");
                Vec::new()
            }
        }
    }

    /// What it takes to give it to a function: its mount namespace, and the files of its limits. `None` for one that was
    /// built for its function.
    pub(super) fn open_reach(&mut self) -> io::Result<Option<Reach>> {
        let Some(namespace) = std::mem::take(&mut self.namespaces).into_iter().next() else { return Ok(None) };
        let limits = self.cgroup.as_ref().map(|cgroup| cgroup.open_limits(&self.defences)).transpose()?;
        Ok(Some((namespace, limits.unwrap_or_default())))
    }

    /// A namespace of it, as long as it stands without a runtime.
    pub(super) fn namespace(&self, name: &str) -> io::Result<BorrowedFd<'_>> {
        let named = self.wanted.iter().zip(&self.namespaces).find(|(wanted, _)| **wanted == name);
        named.map(|(_, namespace)| namespace.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What it has used in its whole life.
    pub(super) fn usage(&self) -> Usage {
        Meter::new(self.open_meter()).usage()
    }
}

/// Clones in a network that was made ready, if there is one, and comes back to the launcher's own.
///
/// The child cannot enter by itself: the network belongs to the host's user namespace, so that nobody inside has a
/// privilege over it.
fn clone_in(
    network: Option<(&OwnedFd, &OwnedFd)>,
    owner: Option<u32>,
    flags: u64,
    unified: Option<&OwnedFd>,
) -> Result<Cloned, Step> {
    let clone = |flags| {
        let unified = unified.map(|directory| directory.as_fd());
        match owner {
            Some(owner) => clone_process_of(owner, flags, unified),
            None => clone_process(flags, unified),
        }
    };
    let Some((ready, own)) = network else { return at_step("clone", clone(flags)) };
    at_step("enter the network", enter_network(ready))?;
    let cloned = clone(flags & !u64::from(libc::CLONE_NEWNET.unsigned_abs()));
    if !matches!(cloned, Ok(Cloned::Child))
        && let Err(error) = enter_network(own)
    {
        // In another network than its own it would hand that out to others: the server starts a new launcher.
        tracing::error!(%error, "the launcher cannot return to its own network");
        leave(1);
    }
    at_step("clone", cloned)
}

fn enter_network(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// All namespaces but cgroup (entered later) and time.
fn namespaces(defences: &Defences) -> u64 {
    let separate = [
        (Defence::ProcessNamespace, libc::CLONE_NEWPID),
        (Defence::MessageNamespace, libc::CLONE_NEWIPC),
        (Defence::NameNamespace, libc::CLONE_NEWUTS),
        (Defence::NetworkNamespace, libc::CLONE_NEWNET),
    ];
    let always = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    let wanted = separate.into_iter().filter(|(defence, _)| defences.include(*defence));
    u64::from(wanted.fold(always, |flags, (_, flag)| flags | flag).unsigned_abs())
}

/// Maps the one uid and gid of the sandbox: to the slot's own on the host, or (rootless) to the launcher's.
fn map_identity(pid: Pid, slot_uid: Option<u32>) -> io::Result<()> {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_pid()));
    let uid = slot_uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let gid = slot_uid.unwrap_or_else(|| rustix::process::getegid().as_raw());
    fs::write(process.join("setgroups"), "deny")?;
    fs::write(process.join("uid_map"), format!("{SANDBOX_UID} {uid} 1\n"))?;
    fs::write(process.join("gid_map"), format!("{SANDBOX_GID} {gid} 1\n"))
}

/// Makes the files of `/tmp`, which belong to the sandbox's user as it is inside, those of its user on the host.
///
/// Only the sandbox's first process may open its user namespace; it does so at once.
fn own_temporary(report: &OwnedFd, temporary: Option<&OwnedFd>) -> io::Result<()> {
    let Some(temporary) = temporary else { return Ok(()) };
    let mut waiting = [PollFd::new(report, PollFlags::IN)];
    if poll(&mut waiting, Some(&OWNER_LIMIT))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let received = receive::<Report>(report)?.ok_or(io::ErrorKind::BrokenPipe)?;
    let owner = received.descriptors.first().filter(|_| matches!(received.message, Report::Owner));
    map_owners(temporary.as_fd(), owner.ok_or(io::ErrorKind::InvalidData)?.as_fd())
}

/// Lets the kernel end a sandbox before anything else when the host is out of memory.
///
/// Written by the launcher: what a process with `CAP_SYS_RESOURCE` sets is the least that the sandbox can set itself.
pub(super) fn prefer_as_victim(pid: Pid) -> io::Result<()> {
    fs::write(format!("/proc/{}/oom_score_adj", pid.as_raw_pid()), "500")
}

/// Sources and targets (relative to the root) of everything that the sandbox shows, in order of mounting.
pub(super) fn binds(template: &Template, shown: &[Bind]) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut binds = template.system.clone();
    // What an administrator put below /usr/local is the host's business, unless the interpreter lives there.
    let local = Path::new("/usr/local");
    if local.is_dir() && !shown.iter().any(|bind| bind.target.starts_with(local)) {
        binds.push((template.root().join("empty"), PathBuf::from("usr/local")));
    }
    for bind in shown {
        let is_shown = bind.source == bind.target && bind.target.starts_with("/usr");
        if !is_shown {
            let target = template
                .mount_point(&bind.source, &bind.target)
                .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", bind.source.display())))?;
            binds.push((bind.source.clone(), target));
        }
    }
    Ok(binds)
}

fn kill_and_reap(pidfd: &OwnedFd) {
    let ended = rustix::process::pidfd_send_signal(pidfd, Signal::KILL)
        .and_then(|()| rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
    if let Err(error) = ended {
        tracing::warn!(%error, "could not end a sandbox that was not built");
    }
}
