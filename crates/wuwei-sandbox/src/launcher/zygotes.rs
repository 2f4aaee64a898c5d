//! Zygotes from the launcher's side: booted interpreters that the runtimes of sandboxes are forked from.
//!
//! A sandbox whose runtime may be forked stands and is empty first. Its first process waits for one of two words
//! ([`Begin`](super::enclosure::Begin)): that its runtime is there, forked into the sandbox by the zygote, or that it is
//! to execute the runtime itself. The second is the answer whenever there is no zygote, it is busy with its own start, or
//! it fails: a zygote only ever makes things faster.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

use super::channel::{receive, send};
use super::protocol::ZygoteKind;
use super::slot::{Ground, Slot};
use super::template::{SANDBOX_GID, SANDBOX_UID};

mod start;

/// First epoll token of zygotes: above those of slots, below those of the launcher's own sockets.
const TOKENS: u64 = 1 << 63;
/// How long a zygote may take for one fork until it is taken for hung.
///
/// Nobody waits for it but the stock; on a host that is overloaded a fork has taken seconds, and another zygote is not
/// faster.
const FORK_LIMIT: Duration = Duration::from_secs(10);
/// Runtimes of one zygote share one layout of addresses and one seed of hashes: it is renewed after so many forks.
const FORKS_MAX: u32 = 1_000;
/// And after so long.
const AGE_MAX: Duration = Duration::from_secs(600);
/// A zygote that nothing was forked from for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Different zygotes at a time: one for each Python, and some.
const ZYGOTES_MAX: usize = 8;
/// Pause after a zygote that did not start.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// How often to look for hung ones, while they are at work.
const LOOK: Duration = Duration::from_millis(500);
/// How often to look whether a killed one has ended, and what it has left behind, which keeps a sandbox from ending.
const LOOK_DYING: Duration = Duration::from_millis(5);
/// How often to look for idle ones.
const LOOK_IDLE: Duration = Duration::from_secs(60);

/// What became of a fork.
pub(super) struct Outcome {
    /// Of the slot.
    pub(super) id: u64,
    pub(super) forked: Forked,
}

/// Whether a runtime was forked.
pub(super) enum Forked {
    /// It has this pid in its sandbox.
    Yes(i32),
    /// There is none, for this reason.
    No(String),
    /// The zygote did not say, for this reason: the sandbox is of no use.
    Unknown(&'static str),
}

#[derive(Serialize)]
struct ForkRequest<'a> {
    id: u64,
    namespaces: [&'static str; 6],
    tasks: usize,
    identity: [u32; 2],
    working_directory: &'a Path,
}

#[derive(Deserialize)]
struct ForkAnswer {
    #[serde(default)]
    ready: bool,
    id: Option<u64>,
    pid: Option<i32>,
    error: Option<String>,
}

/// After the pid namespace, which the zygote enters itself. The network's before the user's, which takes the privilege
/// over networks of the host away.
const NAMESPACES: [&str; 6] = ["net", "user", "mnt", "ipc", "uts", "cgroup"];

/// The file behind a path: another one after an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity([u64; 5]);

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let times = [metadata.mtime().unsigned_abs(), metadata.ctime().unsigned_abs()];
        Some(Self([metadata.dev(), metadata.ino(), metadata.size(), times[0], times[1]]))
    }
}

struct Zygote {
    serial: u64,
    kind: ZygoteKind,
    /// Names its process group, too.
    pid: Pid,
    pidfd: OwnedFd,
    socket: OwnedFd,
    /// What it prints: only when something is wrong with it.
    output: OwnedFd,
    program: Option<Identity>,
    born: Instant,
    used: Instant,
    is_ready: bool,
    forks: u32,
    /// Asked for and not answered, oldest first.
    pending: VecDeque<(u64, Instant)>,
}

impl Zygote {
    fn is_current(&self) -> bool {
        self.program.is_some() && self.program == Identity::of(&self.kind.program)
    }

    fn is_worn(&self, now: Instant) -> bool {
        is_worn(self.forks, now.duration_since(self.born))
    }

    fn token(&self) -> u64 {
        TOKENS | self.serial
    }

    fn request(&mut self, slot: &Slot, now: Instant) -> io::Result<()> {
        let Some(waiting) = &slot.waiting else { return Err(io::ErrorKind::InvalidInput.into()) };
        let processes = slot.namespace("pid")?;
        let namespaces = NAMESPACES.into_iter().map(|name| slot.namespace(name)).collect::<io::Result<Vec<_>>>()?;
        let (tasks, unified) = slot.open_groups()?;
        let request = ForkRequest {
            id: slot.id,
            namespaces: NAMESPACES,
            tasks: tasks.len(),
            identity: [SANDBOX_UID, SANDBOX_GID],
            working_directory: &waiting.working_directory,
        };
        let mut descriptors: Vec<BorrowedFd<'_>> =
            vec![waiting.handed.control.as_fd(), waiting.handed.output.as_fd(), processes];
        descriptors.extend(namespaces);
        descriptors.extend(tasks.iter().map(|file| file.as_fd()));
        descriptors.extend(unified.iter().map(|directory| directory.as_fd()));
        send(&self.socket, &request, &descriptors)?;
        self.pending.push_back((slot.id, now));
        self.forks += 1;
        self.used = now;
        Ok(())
    }

    /// Kills it, if it has not ended. To be called by [`Zygotes::bury`] only.
    fn kill(&self) {
        if let Err(error) = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            tracing::debug!(%error, "a zygote was gone already");
        }
    }

    /// What it printed.
    fn words(&self) -> String {
        let mut words = vec![0; 4096];
        let count = rustix::io::read(&self.output, &mut words).unwrap_or_default();
        String::from_utf8_lossy(words.get(..count).unwrap_or_default()).into_owned()
    }
}

/// Whether it is time for another one.
fn is_worn(forks: u32, age: Duration) -> bool {
    forks >= FORKS_MAX || age >= AGE_MAX
}

/// A zygote that was killed. The launcher never waits for it: what is in the middle of a system call takes its time.
struct Dying {
    pidfd: OwnedFd,
    is_reaped: bool,
    /// Its process group, if it was at work: a fork on its way into a sandbox is then the launcher's to reap, and until it
    /// is, the sandbox cannot end.
    group: Option<Pid>,
}

impl Dying {
    /// Reaps what has ended; false while there is more to come.
    fn is_over(&mut self) -> bool {
        self.is_reaped = self.is_reaped || has_none_left(&WaitId::PidFd(self.pidfd.as_fd()));
        if self.is_reaped && self.group.is_some_and(|group| has_none_left(&WaitId::Pgid(Some(group)))) {
            self.group = None;
        }
        self.is_reaped && self.group.is_none()
    }
}

/// Reaps children of this name without waiting; whether there is none left.
fn has_none_left(children: &WaitId<'_>) -> bool {
    loop {
        match waitid(children.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_none) => return true,
        }
    }
}

/// All zygotes of a launcher.
#[derive(Default)]
pub(super) struct Zygotes {
    zygotes: Vec<Zygote>,
    /// Those that were killed and are not reaped.
    dying: Vec<Dying>,
    next: u64,
    failed: Option<Instant>,
}

impl Zygotes {
    /// Whether a token of the event queue is a zygote's.
    pub(super) fn have(token: u64) -> bool {
        token & TOKENS != 0
    }

    /// Has a runtime forked into a slot that stands; false when there is no zygote for it now.
    pub(super) fn fork(&mut self, ground: &Ground, epoll: &OwnedFd, slot: &Slot) -> bool {
        let Some(kind) = slot.waiting.as_ref().map(|waiting| &waiting.kind) else { return false };
        let now = Instant::now();
        let usable = |zygote: &&mut Zygote| zygote.kind == *kind && zygote.is_ready && zygote.is_current();
        let found = self.zygotes.iter_mut().rev().find(usable);
        let lasts = found.as_ref().is_some_and(|zygote| !zygote.is_worn(now));
        let sent = found.is_some_and(|zygote| match zygote.request(slot, now) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a zygote could not be asked");
                false
            }
        });
        if !lasts && let Err(error) = self.start(ground, epoll, kind, now) {
            tracing::warn!(%error, "a zygote could not be started");
            self.failed = Some(now);
        }
        sent
    }

    fn start(&mut self, ground: &Ground, epoll: &OwnedFd, kind: &ZygoteKind, now: Instant) -> io::Result<()> {
        let starts = self.zygotes.iter().any(|zygote| zygote.kind == *kind && !zygote.is_ready);
        let pauses = self.failed.is_some_and(|failed| now.duration_since(failed) < FAILURE_PAUSE);
        if starts || pauses || self.zygotes.len() >= ZYGOTES_MAX {
            return Ok(());
        }
        let program = Identity::of(&kind.program);
        let started = start::start(ground, kind).map_err(|step| io::Error::other(step.to_string()))?;
        let (serial, kind) = (self.next, kind.clone());
        self.next += 1;
        let zygote = Zygote {
            serial,
            kind,
            pid: started.pid,
            pidfd: started.pidfd,
            socket: started.socket,
            output: started.output,
            program,
            born: now,
            used: now,
            is_ready: false,
            forks: 0,
            pending: VecDeque::new(),
        };
        epoll::add(epoll, &zygote.socket, epoll::EventData::new_u64(zygote.token()), epoll::EventFlags::IN)?;
        self.zygotes.push(zygote);
        Ok(())
    }

    /// Takes one answer of the zygote with this token.
    pub(super) fn take_answer(&mut self, token: u64) -> Vec<Outcome> {
        let Some(index) = self.zygotes.iter().position(|zygote| zygote.token() == token) else { return Vec::new() };
        let Some(zygote) = self.zygotes.get_mut(index) else { return Vec::new() };
        let answer = match receive::<ForkAnswer>(&zygote.socket) {
            Ok(Some(received)) => received.message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Vec::new(),
            Ok(None) | Err(_) => {
                let ended = self.zygotes.remove(index);
                tracing::warn!(words = ended.words(), "a zygote ended unexpectedly");
                if !ended.is_ready {
                    self.failed = Some(Instant::now());
                }
                return self.bury(ended, "the zygote ended");
            }
        };
        if answer.ready {
            zygote.is_ready = true;
            let kind = zygote.kind.clone();
            self.end_where(|zygote| zygote.kind == kind && zygote.token() != token && zygote.pending.is_empty());
            return Vec::new();
        }
        let Some((id, _asked)) = zygote.pending.pop_front().filter(|(id, _asked)| answer.id == Some(*id)) else {
            let liar = self.zygotes.remove(index);
            return self.bury(liar, "the zygote answered something else");
        };
        let reason = answer.error.unwrap_or_else(|| "the zygote gave no reason".to_owned());
        vec![Outcome { id, forked: answer.pid.map_or(Forked::No(reason), Forked::Yes) }]
    }

    /// Ends what hangs and what nobody uses.
    pub(super) fn look_round(&mut self) -> Vec<Outcome> {
        let now = Instant::now();
        self.end_where(|zygote| zygote.pending.is_empty() && now.duration_since(zygote.used) >= IDLE_MAX);
        let hangs = |zygote: &Zygote| {
            zygote.pending.front().is_some_and(|(_id, asked)| now.duration_since(*asked) >= FORK_LIMIT)
        };
        let mut outcomes = Vec::new();
        while let Some(index) = self.zygotes.iter().position(hangs) {
            tracing::warn!("a zygote hangs");
            let hung = self.zygotes.remove(index);
            outcomes.extend(self.bury(hung, "the zygote hangs"));
        }
        self.dying.retain_mut(|dying| !dying.is_over());
        outcomes
    }

    /// When to look round again.
    pub(super) fn next_look(&self) -> Option<Duration> {
        if !self.dying.is_empty() {
            return Some(LOOK_DYING);
        }
        let works = self.zygotes.iter().any(|zygote| !zygote.pending.is_empty());
        (!self.zygotes.is_empty()).then_some(if works { LOOK } else { LOOK_IDLE })
    }

    /// Ends all of them; [`Zygotes::look_round`] reaps them.
    pub(super) fn end(&mut self) {
        self.end_where(|_every| true);
    }

    /// Whether none is left to reap.
    pub(super) fn are_gone(&self) -> bool {
        self.zygotes.is_empty() && self.dying.is_empty()
    }

    fn end_where(&mut self, condition: impl Fn(&Zygote) -> bool) {
        let zygotes = std::mem::take(&mut self.zygotes);
        let (ended, kept): (Vec<_>, Vec<_>) = zygotes.into_iter().partition(condition);
        self.zygotes = kept;
        ended.into_iter().for_each(|zygote| drop(self.bury(zygote, "the zygote is not needed any more")));
    }

    /// Kills one; the forks that it owes will not come.
    fn bury(&mut self, zygote: Zygote, why: &'static str) -> Vec<Outcome> {
        zygote.kill();
        let group = (!zygote.pending.is_empty()).then_some(zygote.pid);
        self.dying.push(Dying { pidfd: zygote.pidfd, is_reaped: false, group });
        let failed = |(id, _asked)| Outcome { id, forked: Forked::Unknown(why) };
        zygote.pending.into_iter().map(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AGE_MAX, FORKS_MAX, Identity, is_worn};

    #[test]
    fn a_zygote_is_renewed_after_a_number_of_forks_or_a_time() {
        let moment = Duration::from_millis(1);
        assert!(!is_worn(FORKS_MAX - 1, AGE_MAX.saturating_sub(moment)));
        assert!(is_worn(FORKS_MAX, moment));
        assert!(is_worn(0, AGE_MAX));
    }

    #[test]
    fn another_file_at_the_path_of_an_interpreter_is_another_interpreter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("python3");
        assert_eq!(Identity::of(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = Identity::of(&path);
        assert!(first.is_some() && first == Identity::of(&path));
        let other = directory.path().join("python3.new");
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(Identity::of(&path), first);
    }
}
