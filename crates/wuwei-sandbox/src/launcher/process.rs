//! The launcher's event loop.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::PidfdFlags;
use rustix::thread::Gid;
use rustix::time::Timespec;

use super::channel::{Received, receive, send};
use super::enclosure::Begin;
use super::mounter::Mounter;
use super::protocol::{Event, Isolation, LaunchRequest, Request, Setup};
use super::slot::{Ground, Handed, Slot};
use super::template::Template;
use super::users::HostUsers;
use super::zygotes::{Forked, Outcome, Zygotes};
use crate::cgroup::Hierarchies;
use crate::doctor::UNLIMITED;
use crate::instance::ProcessExit;
use crate::privilege::{confine, of_launcher};
use crate::seccomp::Filter;
use crate::steward::{Appointment, is_plain_name};
use crate::sys::{adopt_launcher_socket, enter_new_network_namespace};

/// Epoll token of the server's socket. Slot tokens are `2 * id` (report) and `2 * id + 1` (pid descriptor).
const SERVER: u64 = u64::MAX;
/// Epoll token of the mounter's pid descriptor.
const MOUNTER: u64 = u64::MAX - 1;
/// Stands for no event: what is looked at between them.
const TIMER: u64 = u64::MAX - 2;
/// A step of the launcher that takes longer is written to the log.
const SLOW: Duration = Duration::from_secs(1);
/// Where launchers that a steward has started keep their templates: nobody but root may write there.
const TEMPLATES: &str = "/run/wuwei";
/// How often busy control groups are tried again.
const RETRY: Duration = Duration::from_millis(5);
/// How often, before the next start of a server must remove them.
const RETRIES_MAX: u32 = 1_000;

/// Runs a launcher on the socket at descriptor 0 until the server goes away. Nothing else may run in this process.
///
/// # Errors
/// When the socket or the event queue fails: the server sees the closed socket and starts another launcher.
pub fn run_launcher() -> io::Result<()> {
    run(None)
}

/// As [`run_launcher`], with what the server may not choose.
///
/// # Errors
/// As [`run_launcher`].
pub fn run_launcher_for(appointment: &Appointment) -> io::Result<()> {
    run(Some(appointment))
}

fn run(appointment: Option<&Appointment>) -> io::Result<()> {
    let socket = adopt_launcher_socket()?;
    let Some(Received { message: Request::Setup(setup), .. }) = receive::<Request>(&socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a launcher is started by `wuwei up` only"));
    };
    let ground = match prepare(setup, appointment) {
        Ok(ground) => ground,
        Err(reason) => return send(&socket, &Event::Unable { reason }, &[]),
    };
    let possible = ground.setup.isolation == Isolation::Full && Mounter::is_possible();
    // Before there is anything that it could inherit.
    let (mounter, its_socket) = if possible { start_mounter() } else { None }.unzip();
    let descriptors: Vec<BorrowedFd<'_>> = its_socket.iter().map(|its_socket| its_socket.as_fd()).collect();
    send(&socket, &Event::Ready, &descriptors)?;
    drop(its_socket);
    let hierarchies = ground.hierarchies.clone();
    Launcher::new(socket, ground, mounter)?.run()?;
    // Else it is the steward's to do: it takes a capability, in the root of a hierarchy.
    if appointment.is_none()
        && let Some(Err(error)) = hierarchies.as_ref().map(Hierarchies::remove)
    {
        tracing::warn!(%error, "could not remove the server's control groups");
    }
    Ok(())
}

fn prepare(mut setup: Setup, appointment: Option<&Appointment>) -> Result<Ground, String> {
    let is_root = rustix::process::geteuid().is_root();
    let users = match appointment {
        Some(appointment) => {
            // A server that was taken over could name paths that others trust; so these are the steward's word.
            setup.server.clone_from(&appointment.server);
            setup.template = appointed_template(&appointment.server);
            Some(HostUsers::appointed(appointment.first_user))
        }
        None if is_root => Some(HostUsers::claim(&setup.server)),
        None => None,
    };
    let users = users.transpose().map_err(|error| format!("choose host users: {error}"))?;
    let hierarchies = prepare_groups(&setup)?;
    confine(of_launcher(setup.isolation, appointment.is_some())).map_err(|step| step.to_string())?;
    if let (Some(users), Some(_)) = (&users, appointment) {
        share_group(users).map_err(|error| format!("take the server's group: {error}"))?;
    }
    if is_root
        && setup.isolation == Isolation::Full
        && !crate::HAS_DEFENCE_SWITCHES
        && let Err(error) = enter_new_network_namespace()
    {
        tracing::warn!(%error, "the launcher keeps the host's network, which it does not need");
    }
    let template =
        Template::build(&setup.template).map_err(|error| format!("build `{}`: {error}", setup.template.display()))?;
    let network = fs::File::open("/proc/self/ns/net").map_err(|error| format!("open the own network: {error}"))?.into();
    let launcher = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(|error| format!("open the own process: {error}"))?;
    Ok(Ground { setup, template, hierarchies, filter: Filter::for_functions(), users, network, launcher })
}

/// Where a launcher that a steward has started keeps its template.
pub(crate) fn appointed_template(server: &str) -> PathBuf {
    Path::new(TEMPLATES).join(server)
}

fn prepare_groups(setup: &Setup) -> Result<Option<Hierarchies>, String> {
    match Hierarchies::prepare_here(&setup.server) {
        Ok(hierarchies) => Ok(Some(hierarchies)),
        // Root is given them, or has something to mend; an ordinary user may not be able to get any.
        Err(error) if setup.isolation == Isolation::Reduced || !rustix::process::geteuid().is_root() => {
            let cause = std::error::Error::source(&error).map(tracing::field::display);
            tracing::warn!(%error, cause, "no control groups: {UNLIMITED}");
            Ok(None)
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Err(format!("{error}{cause}"))
        }
    }
}

/// The data directory lets its group pass, so that what the server may show can be reached without being its user.
fn share_group(users: &HostUsers) -> io::Result<()> {
    let group = Gid::from_raw(users.of_server());
    Ok(rustix::thread::set_thread_res_gid(group, group, group)?)
}

/// Without a mounter every sandbox is built for its function.
fn start_mounter() -> Option<(Mounter, OwnedFd)> {
    Mounter::start().inspect_err(|step| tracing::warn!(%step, "sandboxes are not built ahead")).ok()
}

struct Launcher {
    socket: OwnedFd,
    epoll: OwnedFd,
    ground: Ground,
    slots: BTreeMap<u64, Slot>,
    /// Reaped, but their control groups were busy; with the number of tries.
    leaving: Vec<(Slot, u32)>,
    mounter: Option<Mounter>,
    zygotes: Zygotes,
    server_is_gone: bool,
}

impl Launcher {
    fn new(socket: OwnedFd, ground: Ground, mounter: Option<Mounter>) -> io::Result<Self> {
        // Of forks whose zygote has ended: a host's first process may not reap them.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &socket, epoll::EventData::new_u64(SERVER), epoll::EventFlags::IN)?;
        let (slots, leaving, zygotes) = (BTreeMap::new(), Vec::new(), Zygotes::default());
        let launcher = Self { socket, epoll, ground, slots, leaving, mounter, zygotes, server_is_gone: false };
        launcher.watch_mounter()?;
        Ok(launcher)
    }

    fn run(mut self) -> io::Result<()> {
        while !self.is_done() {
            for token in self.wait()? {
                let began = Instant::now();
                self.handle(token)?;
                self.warn_if_slow(began, token);
            }
            let began = Instant::now();
            self.retry_leaving();
            let overdue = self.zygotes.look_round();
            self.take_outcomes(overdue)?;
            self.warn_if_slow(began, TIMER);
        }
        if let Some(mounter) = &self.mounter {
            mounter.end();
        }
        match fs::remove_dir_all(self.ground.template.root()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn is_done(&self) -> bool {
        self.server_is_gone && self.slots.is_empty() && self.leaving.is_empty() && self.zygotes.are_gone()
    }

    /// All starts wait for the launcher: whoever looks for what held them up finds it in the log.
    fn warn_if_slow(&self, began: Instant, token: u64) {
        let elapsed = began.elapsed();
        if elapsed < SLOW {
            return;
        }
        let step = match token {
            SERVER => "take a request",
            MOUNTER => "replace the mounter",
            TIMER => "look round",
            token if Zygotes::have(token) => "take a zygote's answer",
            token if token.is_multiple_of(2) => "take a sandbox's report",
            _ => "take a sandbox's end",
        };
        let (slots, leaving) = (self.slots.len(), self.leaving.len());
        tracing::warn!(step, milliseconds = elapsed.as_millis(), slots, leaving, "the launcher was held up");
    }

    fn wait(&self) -> io::Result<Vec<u64>> {
        let mut events = Vec::with_capacity(64);
        let timeout = if self.leaving.is_empty() { self.zygotes.next_look() } else { Some(RETRY) };
        let timeout = timeout.map(|time| Timespec::try_from(time).expect("less than a minute fits a timespec"));
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(events.iter().map(|event: &epoll::Event| event.data.u64()).collect())
    }

    fn handle(&mut self, token: u64) -> io::Result<()> {
        if token == SERVER {
            return self.handle_server();
        }
        if token == MOUNTER {
            return self.replace_mounter();
        }
        if Zygotes::have(token) {
            let outcomes = self.zygotes.take_answer(token);
            return self.take_outcomes(outcomes);
        }
        let id = token / 2;
        if token.is_multiple_of(2) { self.handle_report(id) } else { self.handle_end(id) }
    }

    fn handle_server(&mut self) -> io::Result<()> {
        let received = match receive::<Request>(&self.socket) {
            Ok(Some(received)) => received,
            Ok(None) => {
                self.server_left();
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "a request from the server could not be read");
                return Ok(());
            }
        };
        match received.message {
            Request::Setup(_) => tracing::error!("the server sent a second set-up"),
            Request::Kill { id } => {
                if let Some(slot) = self.slots.get(&id) {
                    slot.kill();
                }
            }
            Request::Launch(request) => self.launch(&request, received.descriptors)?,
        }
        Ok(())
    }

    fn watch_mounter(&self) -> io::Result<()> {
        let Some(mounter) = &self.mounter else { return Ok(()) };
        Ok(epoll::add(&self.epoll, &mounter.pidfd, epoll::EventData::new_u64(MOUNTER), epoll::EventFlags::IN)?)
    }

    fn replace_mounter(&mut self) -> io::Result<()> {
        let Some(ended) = self.mounter.take() else { return Ok(()) };
        tracing::error!("the mounter ended unexpectedly; starting another");
        epoll::delete(&self.epoll, &ended.pidfd)?;
        ended.end();
        let Some((mounter, its_socket)) = (if self.server_is_gone { None } else { start_mounter() }) else {
            return Ok(());
        };
        self.mounter = Some(mounter);
        self.watch_mounter()?;
        self.tell(&Event::Mounter, &[its_socket.as_fd()])
    }

    fn server_left(&mut self) {
        self.server_is_gone = true;
        if let Err(error) = epoll::delete(&self.epoll, &self.socket) {
            tracing::warn!(%error, "could not stop watching the server");
        }
        self.zygotes.end();
        self.slots.values().for_each(Slot::kill);
    }

    fn launch(&mut self, request: &LaunchRequest, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let mut descriptors = descriptors.into_iter();
        let (control, output) = (descriptors.next(), descriptors.next());
        let temporary = if request.temporary { descriptors.next() } else { None };
        let (network, surplus) = (descriptors.next(), descriptors.next());
        let (Some(control), Some(output), None) = (control, output, surplus) else {
            let reason = "the launch came without its descriptors".to_owned();
            return self.tell(&Event::Failed { id: request.id, reason }, &[]);
        };
        if !is_plain_name(&request.name) {
            let reason = "the launch's name cannot be that of a control group".to_owned();
            return self.tell(&Event::Failed { id: request.id, reason }, &[]);
        }
        let index = self.free_index();
        match Slot::launch(&self.ground, request, index, Handed { control, output, network, temporary }) {
            Ok(slot) => {
                let watch = |descriptor: BorrowedFd<'_>, token| {
                    epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
                };
                watch(slot.report.as_fd(), slot.id * 2)?;
                watch(slot.pidfd.as_fd(), slot.id * 2 + 1)?;
                self.slots.insert(slot.id, slot);
                Ok(())
            }
            Err(step) => self.tell(&Event::Failed { id: request.id, reason: step.to_string() }, &[]),
        }
    }

    /// Lowest index that no slot uses, so that a host uid is free of an earlier sandbox's processes.
    fn free_index(&self) -> u32 {
        let used: std::collections::BTreeSet<u32> =
            self.slots.values().chain(self.leaving.iter().map(|(slot, _)| slot)).map(|slot| slot.index).collect();
        (0..u32::MAX).find(|index| !used.contains(index)).expect("there are fewer slots than uids")
    }

    fn handle_report(&mut self, id: u64) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        match slot.take_report() {
            Ok(Some((true, listeners))) => match &mut slot.waiting {
                Some(waiting) => {
                    waiting.listeners = listeners;
                    self.begin_waiting(id)
                }
                None => {
                    slot.started = true;
                    self.tell_started(id, &listeners)
                }
            },
            Ok(Some((false, _))) => Ok(()),
            // Closed: the pid descriptor tells the rest.
            Ok(None) => Ok(epoll::delete(&self.epoll, &slot.report)?),
            Err(error) => {
                tracing::warn!(%error, "a report from a sandbox could not be read");
                slot.kill();
                Ok(epoll::delete(&self.epoll, &slot.report)?)
            }
        }
    }

    /// Has the runtime of a sandbox that stands forked, or else executed.
    fn begin_waiting(&mut self, id: u64) -> io::Result<()> {
        let Some(slot) = self.slots.get(&id) else { return Ok(()) };
        if self.server_is_gone {
            // It is being killed. A zygote that began now would be nobody's, and keep the launcher.
            return Ok(());
        }
        if self.zygotes.fork(&self.ground, &self.epoll, slot) { Ok(()) } else { self.begin(id, &Begin::Execute) }
    }

    fn take_outcomes(&mut self, outcomes: Vec<Outcome>) -> io::Result<()> {
        outcomes.into_iter().try_for_each(|Outcome { id, forked }| match forked {
            Forked::Yes(pid) => self.begin(id, &Begin::Adopt(pid)),
            Forked::No(reason) => {
                tracing::warn!(reason, "a runtime could not be forked; it is executed");
                self.begin(id, &Begin::Execute)
            }
            Forked::Unknown(reason) => {
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.broken = Some(reason.to_owned());
                    slot.kill();
                }
                Ok(())
            }
        })
    }

    fn begin(&mut self, id: u64, begin: &Begin) -> io::Result<()> {
        // It may have been killed in the meantime.
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        match slot.begin(begin) {
            Ok(listeners) => {
                slot.started = true;
                self.tell_started(id, &listeners)
            }
            // It has ended: the pid descriptor tells the rest.
            Err(error) => {
                tracing::debug!(%error, "a sandbox ended before its runtime was there");
                Ok(())
            }
        }
    }

    fn tell_started(&mut self, id: u64, listeners: &[OwnedFd]) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        let meter = slot.open_meter();
        let (namespace, limits) = match slot.open_reach() {
            Ok(reach) => reach.unzip(),
            Err(error) => {
                tracing::warn!(%error, "a sandbox that was built ahead cannot be given away");
                slot.kill();
                return Ok(());
            }
        };
        let descriptors: Vec<BorrowedFd<'_>> = listeners
            .iter()
            .chain(meter.iter().map(|(_, file)| file))
            .chain(&namespace)
            .chain(limits.iter().flatten().map(|(_, file)| file))
            .map(|descriptor| descriptor.as_fd())
            .collect();
        let event = Event::Started {
            id,
            listeners: listeners.len(),
            meter: meter.iter().map(|(kind, _)| *kind).collect(),
            limits: limits.as_ref().map(|limits| limits.iter().map(|(kind, _)| *kind).collect()),
        };
        self.tell(&event, &descriptors)
    }

    fn handle_end(&mut self, id: u64) -> io::Result<()> {
        let Some(mut slot) = self.slots.remove(&id) else { return Ok(()) };
        let exit = slot.reap().unwrap_or_else(|error| {
            tracing::warn!(%error, "could not reap a sandbox");
            ProcessExit::Lost
        });
        let usage = slot.usage();
        epoll::delete(&self.epoll, &slot.pidfd)?;
        // Its report socket leaves the queue when the last copy is closed; copies live in younger siblings' first processes.
        match epoll::delete(&self.epoll, &slot.report) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let event = if slot.started && slot.broken.is_none() {
            Event::Exited { id, exit, usage }
        } else {
            let reason = slot.broken.take().unwrap_or_else(|| format!("the first process ended early: {exit:?}"));
            // A server that knows it as started gets its end; the reason goes to the log.
            if slot.started {
                tracing::warn!(reason, "the program of a sandbox did not start");
                Event::Exited { id, exit, usage }
            } else {
                Event::Failed { id, reason }
            }
        };
        // Told first: the server asks its own files until it knows.
        self.tell(&event, &[])?;
        if !slot.clean_up() {
            self.leaving.push((slot, 0));
        }
        Ok(())
    }

    fn retry_leaving(&mut self) {
        self.leaving.retain_mut(|(slot, tries)| {
            *tries += 1;
            if *tries == RETRIES_MAX {
                tracing::warn!(
                    pid = slot.pid.as_raw_pid(),
                    "control groups of a sandbox stay busy; the next start removes them"
                );
            }
            *tries < RETRIES_MAX && !slot.clean_up()
        });
    }

    fn tell(&self, event: &Event, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if self.server_is_gone {
            return Ok(());
        }
        match send(&self.socket, event, descriptors) {
            // The end of the server's socket is seen by the loop.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
