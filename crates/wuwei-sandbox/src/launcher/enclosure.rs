//! From a fresh clone of the launcher to a function's runtime: the steps that a child takes, in order.
//!
//! The first process of the sandbox builds the view, gives up every privilege, starts the runtime as its child, and
//! stays as a reaper. Its exit ends every other process of the pid namespace.

use std::fmt;
use std::fs;
use std::io;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, Gid, Uid};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};

use super::channel::{receive, send};
use super::mounts::View;
use super::protocol::{Ahead, Isolation, LaunchRequest};
use super::template::{SANDBOX_GID, SANDBOX_UID};
use crate::defence::{Defence, Defences};
use crate::frames::assignment;
use crate::privilege::{CORE_BYTES, bound_to, hold_only};
use crate::seccomp::Filter;
use crate::sys::{
    Cloned, bring_loopback_up, clone_process, close_from_all_but, close_on_exec_from, enter_new_cgroup_namespace,
    execute, keep_on_exec_from, place_descriptor,
};

/// Port of the Runtime API inside every sandbox.
pub(crate) const RUNTIME_API_PORT: u16 = 9001;
/// Port of the way back to the platform inside every sandbox.
pub(crate) const RELAY_PORT: u16 = 9002;

/// Exit status of a program that is not there, as in shells.
const NOT_FOUND: i32 = 127;
/// Exit status of a program that cannot be executed, as in shells.
const NOT_RUN: i32 = 126;
/// A step of building a sandbox that failed.
#[derive(Debug)]
pub(crate) struct Step {
    step: String,
    cause: io::Error,
}

impl Step {
    pub(crate) fn new(step: impl Into<String>, cause: io::Error) -> Self {
        Self { step: step.into(), cause }
    }
}

impl std::error::Error for Step {}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.step, self.cause)
    }
}

/// Names the step that a result belongs to.
pub(crate) fn at_step<T, E: Into<io::Error>>(step: &str, result: Result<T, E>) -> Result<T, Step> {
    result.map_err(|error| Step::new(step, error.into()))
}

/// What the first process of a sandbox tells the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The first thing, where a mount for `/tmp` waits for its owner. Comes with the user namespace.
    Owner,
    /// Everything stands; the runtime starts. Comes with the listeners that were wanted, then with its namespaces by the
    /// names in [`namespaces_wanted`]: nobody else may open those once it hides its memory.
    Enclosed {
        /// How many of the descriptors are listeners.
        listeners: usize,
    },
    /// A step failed; the process exits.
    Broken(String),
    /// The runtime's program could not be executed, for this reason (`errno`); its process ends next.
    NotExecuted(i32),
    /// The runtime process ended with this exit code, or (negative) by this signal.
    Ended(i32),
}

/// What the launcher tells the first process, once its user namespace is mapped.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proceed;

/// What the launcher tells a first process whose runtime may be forked from a zygote, once the sandbox stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Begin {
    /// Execute the runtime.
    Execute,
    /// The runtime is there: a child of yours with this pid in the sandbox.
    Adopt(i32),
}

/// All that a child needs; made before the clone.
pub(super) struct Enclosure<'launcher> {
    pub(super) request: &'launcher LaunchRequest,
    pub(super) isolation: Isolation,
    pub(super) template: PathBuf,
    pub(super) binds: Vec<(PathBuf, PathBuf)>,
    pub(super) filter: &'launcher Filter,
    /// Open `tasks` files of cgroup v1.
    pub(super) tasks: Vec<fs::File>,
    /// Socket to the launcher.
    pub(super) report: OwnedFd,
    /// The launcher's process.
    pub(super) launcher: &'launcher OwnedFd,
    pub(super) control: &'launcher OwnedFd,
    pub(super) output: &'launcher OwnedFd,
    /// Mount for `/tmp`.
    pub(super) temporary: Option<&'launcher OwnedFd>,
    /// Whether the network is new and its own, and not one that was made ready.
    pub(super) empty_network: bool,
    /// Uid and gid to take in reduced isolation, when the launcher is root.
    pub(super) reduced_uid: Option<u32>,
}

/// Where the runtime is.
enum Runtime {
    Child(Pid),
    /// This process becomes it.
    Here,
}

impl Enclosure<'_> {
    /// Runs the child to its end; returns the exit status of the first process.
    pub(super) fn run(&self) -> i32 {
        match self.enclose().and_then(|()| self.adopt_or_start()) {
            Ok(Runtime::Child(pid)) => self.reap(pid),
            Ok(Runtime::Here) => self.become_runtime(),
            Err(step) => {
                self.tell(&Report::Broken(step.to_string()), &[]);
                1
            }
        }
    }

    /// Whether the sandbox is to have this defence: always, but in tests of the single defences.
    fn has(&self, defence: Defence) -> bool {
        self.request.defences.include(defence)
    }

    fn enclose(&self) -> Result<(), Step> {
        if self.temporary.is_some() {
            let owner = at_step("open the own user namespace", fs::File::open("/proc/self/ns/user"))?;
            self.tell(&Report::Owner, &[owner.as_fd()]);
        }
        // Before anything is waited for: this process has copies of the launcher's ends of all sockets.
        self.die_with_launcher()?;
        at_step("wait for the launcher", receive::<Proceed>(&self.report))?
            .ok_or_else(|| Step::new("wait for the launcher", io::ErrorKind::BrokenPipe.into()))?;
        for mut tasks in &self.tasks {
            at_step("join control group", tasks.write_all(b"0"))?;
        }
        let (listeners, namespaces) = match self.isolation {
            Isolation::Full => (self.enter_namespaces()?, self.open_namespaces()?),
            Isolation::Reduced => (Vec::new(), Vec::new()),
        };
        set_resource_limits(&self.request.defences)?;
        self.give_up_privilege()?;
        let handed: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
        let handed: Vec<_> = handed.into_iter().chain(namespaces.iter().map(|file| file.as_fd())).collect();
        self.tell(&Report::Enclosed { listeners: listeners.len() }, &handed);
        Ok(())
    }

    /// Mounts, host name and network of the new namespaces; the listeners that are wanted.
    fn enter_namespaces(&self) -> Result<Vec<TcpListener>, Step> {
        // After joining its groups, so that these are the root of what it sees.
        if self.has(Defence::GroupNamespace) {
            at_step("new cgroup namespace", enter_new_cgroup_namespace())?;
        }
        if self.has(Defence::NameNamespace) {
            at_step("set host name", rustix::system::sethostname(b"sandbox"))?;
        }
        let view = View {
            template: &self.template,
            binds: &self.binds,
            ephemeral_mb: self.request.ephemeral_mb,
            has_processes: true,
            temporary: self.temporary,
            defences: &self.request.defences,
        };
        view.enter()?;
        if self.empty_network && self.has(Defence::NetworkNamespace) {
            at_step("bring loopback up", bring_loopback_up())?;
        }
        let wanted = [(self.request.runtime_api, RUNTIME_API_PORT), (self.request.relay, RELAY_PORT)];
        let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted);
        wanted.map(|(_, port)| at_step("listen for the runtime", TcpListener::bind(("127.0.0.1", port)))).collect()
    }

    fn die_with_launcher(&self) -> Result<(), Step> {
        at_step("die with the launcher", rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
        // It may have ended before, and then no signal comes.
        let mut watched = [PollFd::new(self.launcher, PollFlags::IN)];
        match at_step("look for the launcher", poll(&mut watched, Some(&Timespec::default())))? {
            0 => Ok(()),
            _ended => Err(Step::new("look for the launcher", io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn open_namespaces(&self) -> Result<Vec<fs::File>, Step> {
        let open = |name: &&str| at_step("open a namespace", fs::File::open(Path::new("/proc/self/ns").join(name)));
        namespaces_wanted(self.request).iter().map(open).collect()
    }

    fn give_up_privilege(&self) -> Result<(), Step> {
        let identity = match self.isolation {
            Isolation::Full => Some((SANDBOX_UID, SANDBOX_GID)),
            Isolation::Reduced => self.reduced_uid.map(|uid| (uid, uid)),
        };
        if self.has(Defence::NoCapabilities) {
            bound_to(CapabilitySet::empty())?;
        }
        if let (Some((uid, gid)), true) = (identity, self.has(Defence::OwnUser)) {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            at_step("take the sandbox's group", rustix::thread::set_thread_res_gid(gid, gid, gid))?;
            at_step("take the sandbox's user", rustix::thread::set_thread_res_uid(uid, uid, uid))?;
        }
        // After the change of user, which clears it.
        self.die_with_launcher()?;
        if self.has(Defence::NoCapabilities) {
            hold_only(CapabilitySet::empty())?;
        }
        if self.has(Defence::NoNewPrivileges) {
            at_step("set no_new_privs", rustix::thread::set_no_new_privs(true))?;
        }
        // The reaper still carries the launcher's memory: nobody inside may look at it.
        let dumpable =
            if self.has(Defence::HiddenReaper) { DumpableBehavior::NotDumpable } else { DumpableBehavior::Dumpable };
        at_step("hide memory", rustix::process::set_dumpable_behavior(dumpable))
    }

    /// The runtime as a child, forked by a zygote or by this process. The steps that follow here for a forked runtime are
    /// those of `runtimes/python/zygote.py`, in the same order and with the same result; who changes one changes the other.
    fn adopt_or_start(&self) -> Result<Runtime, Step> {
        if self.request.zygote.is_some() {
            let begin = at_step("wait for the runtime", receive::<Begin>(&self.report))?;
            match begin.map(|received| received.message) {
                Some(Begin::Adopt(pid)) => {
                    let pid =
                        Pid::from_raw(pid).ok_or_else(|| Step::new("adopt", io::ErrorKind::InvalidData.into()))?;
                    return Ok(Runtime::Child(pid));
                }
                Some(Begin::Execute) => {}
                None => return Err(Step::new("wait for the runtime", io::ErrorKind::BrokenPipe.into())),
            }
        }
        Ok(match self.start_runtime()? {
            Cloned::Parent { pid, pidfd: _unused } => Runtime::Child(pid),
            Cloned::Child => Runtime::Here,
        })
    }

    fn start_runtime(&self) -> Result<Cloned, Step> {
        if self.isolation == Isolation::Reduced {
            let subreaper = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
            at_step("adopt orphans", subreaper)?;
        }
        at_step("fork the runtime", clone_process(0, None))
    }

    /// The last steps before the runtime's program takes over; returns the exit status when that failed.
    fn become_runtime(&self) -> i32 {
        if let Err(step) = self.prepare_runtime() {
            self.tell(&Report::Broken(step.to_string()), &[]);
            return NOT_FOUND;
        }
        match (&self.request.wrapper, self.request.ahead) {
            (Some(wrapper), _) => self.execute_wrapper(wrapper),
            (None, None | Some(Ahead::Booted)) => self.execute(&self.request.environment),
            (None, Some(Ahead::Held)) => match self.wait_for_function() {
                Ok(Some(environment)) => self.execute(&environment),
                // The server does not want it any more.
                Ok(None) => 0,
                Err(step) => {
                    self.tell(&Report::Broken(step.to_string()), &[]);
                    NOT_FOUND
                }
            },
        }
    }

    fn execute(&self, environment: &[(String, String)]) -> i32 {
        let error = execute(&self.request.program, &self.request.arguments, environment);
        self.tell(&Report::NotExecuted(error.raw_os_error().unwrap_or(libc::EINVAL)), &[]);
        NOT_FOUND
    }

    /// Waits for the assignment, enclosed as the function itself will be; gives its environment.
    fn wait_for_function(&self) -> Result<Option<Vec<(String, String)>>, Step> {
        // Copies of the launcher's descriptors would stay open for as long as nobody needs this sandbox.
        let kept = [self.control.as_fd(), self.report.as_fd()];
        at_step("close descriptors", close_from_all_but(3, &kept))?;
        let assignment = at_step("wait for the function", assignment::wait(self.control.as_fd()))?;
        let Some(assignment) = assignment else { return Ok(None) };
        at_step("enter the working directory", std::env::set_current_dir(assignment.working_directory))?;
        Ok(Some(assignment.environment))
    }

    fn prepare_runtime(&self) -> Result<(), Step> {
        let prepared = || {
            let null = fs::File::open("/dev/null")?;
            // Copies out of the way first: a source could be one of the numbers that are about to be replaced.
            let control = rustix::io::fcntl_dupfd_cloexec(self.control, 10)?;
            let output = rustix::io::fcntl_dupfd_cloexec(self.output, 10)?;
            place_descriptor(&null, 0)?;
            place_descriptor(&output, 1)?;
            place_descriptor(&output, 2)?;
            let mut first_closed = 3;
            if self.request.control {
                place_descriptor(&control, 3)?;
                first_closed = 4;
            }
            if self.has(Defence::ClosedDescriptors) {
                close_on_exec_from(first_closed)?;
            } else {
                keep_on_exec_from(first_closed);
            }
            if self.has(Defence::OwnSession) {
                rustix::process::setsid()?;
            }
            std::env::set_current_dir(&self.request.working_directory)?;
            // The kernel takes no filter from a process that could still gain privileges.
            let filtered = self.has(Defence::CallFilter) && self.has(Defence::NoNewPrivileges);
            if filtered { self.filter.install() } else { Ok(()) }
        };
        at_step("prepare the runtime's process", prepared())
    }

    /// Lets the function's own program start the runtime. What is wrong with it goes to the function's log, with the exit
    /// statuses that a shell has for it; a script needs no `#!` line, because AWS starts it from a shell.
    fn execute_wrapper(&self, wrapper: &Path) -> i32 {
        #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
        let mut command = std::process::Command::new(wrapper);
        let error = command
            .arg(&self.request.program)
            .args(&self.request.arguments)
            .env_clear()
            .envs(self.request.environment.iter().map(|(name, value)| (name, value)))
            .exec();
        let (status, complaint) = match wrapper.is_file() {
            false => (NOT_FOUND, "does not exist".to_owned()),
            true if error.kind() == io::ErrorKind::PermissionDenied => (NOT_RUN, "is not an executable".to_owned()),
            true => (NOT_RUN, error.to_string()),
        };
        // Nobody is there to be told when the pipe is closed.
        drop(writeln!(io::stderr(), "{}: {complaint}", wrapper.display()));
        status
    }

    /// Waits for children until the runtime ends; returning ends the sandbox.
    fn reap(&self, runtime: Pid) -> i32 {
        // Copies of the launcher's descriptors, its socket to the server among them.
        if close_from_all_but(0, &[self.report.as_fd()]).is_err() {
            return 1;
        }
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == runtime => {
                    let code = status.exit_status();
                    let ended = code.or_else(|| status.terminating_signal().map(|signal| -signal));
                    let Some(ended) = ended else { continue };
                    self.tell(&Report::Ended(ended), &[]);
                    return 0;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_no_children) => return 1,
            }
        }
    }

    /// Nothing is left to do when the launcher is gone: it takes the sandbox with it.
    fn tell(&self, report: &Report, descriptors: &[BorrowedFd<'_>]) {
        if send(&self.report, report, descriptors).is_err() {
            leave(1);
        }
    }
}

/// Ends the calling process without running the launcher's clean-up.
#[expect(clippy::exit, reason = "a child must never return into the launcher's loop")]
pub(super) fn leave(status: i32) -> ! {
    std::process::exit(status)
}

/// Namespaces that others enter later: the mounter that of mounts, a zygote all of them.
pub(super) fn namespaces_wanted(request: &LaunchRequest) -> &'static [&'static str] {
    match (&request.zygote, request.ahead) {
        (Some(_), _) => &["mnt", "pid", "net", "user", "ipc", "uts", "cgroup"],
        (None, Some(_)) => &["mnt"],
        (None, None) => &[],
    }
}

/// Limits that what is executed or forked later takes over.
pub(super) fn set_resource_limits(defences: &Defences) -> Result<(), Step> {
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    if defences.include(Defence::DescriptorLimit) {
        let files = limit(wuwei_model::limits::FILE_DESCRIPTORS_MAX);
        at_step("limit open files", rustix::process::setrlimit(Resource::Nofile, files))?;
    }
    if defences.include(Defence::NoCoreDumps) {
        at_step("forbid core dumps", rustix::process::setrlimit(Resource::Core, limit(CORE_BYTES)))?;
    }
    Ok(())
}
