use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::files;
use super::hierarchy::{CgroupError, Hierarchies};
use crate::defence::{Defence, Defences};
use crate::instance::Usage;

/// The init process of a sandbox counts too, and must not take one of the function's processes.
const INIT_PROCESSES: u64 = 1;
/// Network buffers may have this part (one in so many) of the memory, on top of it, on hosts of cgroup v1.
pub(super) const V1_BUFFER_SHARE: u64 = 4;

/// Limits of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory, in MB; a share of the CPU comes with it.
    pub(crate) memory_mb: u32,
}

impl Limits {
    pub(super) fn memory_bytes(self) -> u64 {
        u64::from(self.memory_mb) * 1024 * 1024
    }

    fn processes(self) -> u64 {
        wuwei_model::limits::PROCESSES_MAX + INIT_PROCESSES
    }

    /// `cpu.shares`: 1024 for one vCPU's worth of memory.
    pub(super) fn v1_shares(self) -> u32 {
        (self.memory_mb * 1024 / wuwei_model::limits::MEMORY_MB_PER_VCPU).max(2)
    }

    /// `cpu.weight`: 100 for one vCPU's worth of memory.
    pub(super) fn v2_weight(self) -> u32 {
        (self.memory_mb * 100 / wuwei_model::limits::MEMORY_MB_PER_VCPU).clamp(1, 10_000)
    }
}

/// The control groups of one instance. They are removed explicitly, by [`SlotCgroup::remove`].
#[derive(Debug)]
pub(crate) struct SlotCgroup {
    pub(super) v1: Vec<(String, PathBuf)>,
    pub(super) v2: Option<PathBuf>,
    pub(super) v2_limits: bool,
}

impl SlotCgroup {
    /// Makes the groups and sets the limits.
    pub(crate) fn create(
        hierarchies: &Hierarchies,
        name: &str,
        limits: Limits,
        defences: &Defences,
    ) -> Result<Self, CgroupError> {
        let v1 = hierarchies.v1.iter().map(|(controller, path)| (controller.clone(), path.join(name))).collect();
        let slot =
            Self { v1, v2: hierarchies.v2.as_ref().map(|path| path.join(name)), v2_limits: hierarchies.v2_limits };
        for path in slot.v1.iter().map(|(_, path)| path).chain(slot.v2.as_ref()) {
            let made = match fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            };
            made.and_then(|()| slot.set_limits(path, limits, defences))
                .map_err(|source| CgroupError::Prepare { path: path.clone(), source })?;
        }
        Ok(slot)
    }

    fn set_limits(&self, path: &Path, limits: Limits, defences: &Defences) -> io::Result<()> {
        let has = |defence| defences.include(defence);
        let (memory, processes) = (limits.memory_bytes().to_string(), limits.processes().to_string());
        if self.v2_limits && self.v2.as_deref() == Some(path) {
            if has(Defence::MemoryLimit) {
                files::write(path, "memory.max", &memory)?;
                files::write_if_present(path, "memory.swap.max", "0")?;
            }
            files::write(path, "memory.oom.group", "1")?;
            if has(Defence::CpuShare) {
                files::write_if_present(path, "cpu.weight", &limits.v2_weight().to_string())?;
            }
            return if has(Defence::ProcessLimit) { files::write(path, "pids.max", &processes) } else { Ok(()) };
        }
        match self.v1.iter().find(|(_, directory)| directory == path).map(|(controller, _)| controller.as_str()) {
            Some("memory") => {
                if has(Defence::MemoryLimit) {
                    files::write(path, "memory.limit_in_bytes", &memory)?;
                    files::write_if_present(path, "memory.memsw.limit_in_bytes", &memory)?;
                }
                if has(Defence::BufferLimit) {
                    // v1 does not count network buffers as memory.
                    let buffers = (limits.memory_bytes() / V1_BUFFER_SHARE).to_string();
                    files::write_if_present(path, "memory.kmem.tcp.limit_in_bytes", &buffers)?;
                }
                Ok(())
            }
            Some("cpu") if has(Defence::CpuShare) => files::write(path, "cpu.shares", &limits.v1_shares().to_string()),
            Some("pids") if has(Defence::ProcessLimit) => files::write(path, "pids.max", &processes),
            _ => Ok(()),
        }
    }

    /// Directory that a child is cloned into, where there is a unified tree.
    pub(crate) fn open_unified(&self) -> io::Result<Option<OwnedFd>> {
        self.v2.as_ref().map(|path| fs::File::open(path).map(OwnedFd::from)).transpose()
    }

    /// The `tasks` files of v1: a single-threaded child that writes `0` to each is inside.
    ///
    /// `tasks` and not `cgroup.procs`, which waits some 10 ms for an RCU grace period after a quiet spell.
    pub(crate) fn open_tasks(&self) -> io::Result<Vec<fs::File>> {
        let open = |(_, path): &(String, PathBuf)| fs::OpenOptions::new().write(true).open(path.join("tasks"));
        self.v1.iter().map(open).collect()
    }

    /// Opens what the server reads and writes to meter and freeze the instance.
    pub(crate) fn open_meter(&self) -> io::Result<Vec<(MeterFile, OwnedFd)>> {
        let v1 = |wanted: &str| self.v1.iter().find(|(controller, _)| controller == wanted).map(|(_, path)| path);
        let mut candidates = Vec::new();
        if let Some(path) = v1("memory") {
            candidates.push((MeterFile::PeakMemory, path.join("memory.max_usage_in_bytes")));
        } else if let Some(path) = &self.v2 {
            // Before Linux 5.19 there is no peak; what is in use when an invocation ends is the next best.
            let peak = path.join("memory.peak");
            candidates.push((MeterFile::PeakMemory, if peak.exists() { peak } else { path.join("memory.current") }));
        }
        if let Some(path) = v1("cpuacct") {
            candidates.push((MeterFile::CpuNanoseconds, path.join("cpuacct.usage")));
        } else if let Some(path) = &self.v2 {
            candidates.push((MeterFile::CpuStat, path.join("cpu.stat")));
        }
        if let Some(path) = &self.v2 {
            candidates.push((MeterFile::UnifiedFreeze, path.join("cgroup.freeze")));
        } else if let Some(path) = v1("freezer") {
            candidates.push((MeterFile::V1Freezer, path.join("freezer.state")));
        }
        let mut opened = Vec::new();
        for (kind, path) in candidates {
            match open_control(&path) {
                Ok(file) => opened.push((kind, file.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }

    /// How many processes the kernel has killed here for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let v1 = self.v1.iter().find(|(controller, _)| controller == "memory").map(|(_, path)| path);
        let kills = match (v1, &self.v2) {
            (Some(path), _) => files::keyed_value(path, "memory.oom_control", "oom_kill"),
            (None, Some(path)) => files::keyed_value(path, "memory.events", "oom_kill"),
            (None, None) => None,
        };
        kills.unwrap_or(0)
    }

    /// Thaws (a v1-frozen process ignores SIGKILL) and kills everything inside.
    pub(crate) fn kill(&self) {
        for path in self.v1.iter().map(|(_, path)| path).chain(self.v2.as_ref()) {
            kill_all(path);
        }
    }

    /// Its directories, those of v1 first.
    #[cfg(test)]
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.v1.iter().map(|(_, path)| path).chain(self.v2.as_ref()).map(PathBuf::as_path)
    }

    /// Whether v1 hierarchies carry the limits.
    #[cfg(test)]
    pub(super) fn limits_are_v1(&self) -> bool {
        !self.v2_limits
    }

    /// A group of a unified tree that is made by hand.
    #[cfg(test)]
    pub(super) fn by_hand(unified: &Path) -> Self {
        Self { v1: Vec::new(), v2: Some(unified.to_owned()), v2_limits: true }
    }

    /// Removes the groups; fails with `EBUSY` while a process is still on its way out.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.v1.iter().map(|(_, path)| path).chain(self.v2.as_ref()).try_for_each(|path| files::remove_tree(path))
    }
}

fn open_control(path: &Path) -> io::Result<fs::File> {
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::File::open(path),
        other => other,
    }
}

/// Thaws and kills every process of one group, by whichever means the kernel has.
pub(super) fn kill_all(directory: &Path) {
    let thawed = files::write_if_present(directory, "freezer.state", "THAWED");
    let killed = files::write(directory, "cgroup.kill", "1");
    if let Err(error) = thawed {
        tracing::debug!(%error, group = %directory.display(), "could not thaw");
    }
    if killed.is_ok() {
        return;
    }
    let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        if let Err(error) = rustix::process::kill_process(pid, Signal::KILL) {
            tracing::debug!(%error, "process was gone already");
        }
    }
}

/// What an open control file of a [`Meter`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MeterFile {
    /// Highest memory use in bytes; writing resets it where the kernel allows.
    PeakMemory,
    /// v1 `cpuacct.usage`: nanoseconds.
    CpuNanoseconds,
    /// v2 `cpu.stat`: `usage_usec`.
    CpuStat,
    /// v2 `cgroup.freeze`.
    UnifiedFreeze,
    /// v1 `freezer.state`.
    V1Freezer,
}

/// Accounting and freezing of one instance by kept-open files: about a microsecond each, without path lookups.
#[derive(Debug)]
pub(crate) struct Meter(Vec<(MeterFile, OwnedFd)>);

impl Meter {
    /// Takes the files that [`SlotCgroup::open_meter`] opened.
    pub(crate) fn new(files: Vec<(MeterFile, OwnedFd)>) -> Self {
        Self(files)
    }

    /// CPU and memory used so far; what the host does not tell is zero.
    pub(crate) fn usage(&self) -> Usage {
        Usage { cpu_us: self.cpu_us(), peak_memory_bytes: self.peak_memory_bytes() }
    }

    /// CPU time used so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.read(&[MeterFile::CpuNanoseconds, MeterFile::CpuStat])
    }

    /// Highest memory use since the measurement began, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.read(&[MeterFile::PeakMemory])
    }

    /// What the first of these files says.
    fn read(&self, wanted: &[MeterFile]) -> u64 {
        let Some((kind, file)) = self.0.iter().find(|(kind, _)| wanted.contains(kind)) else { return 0 };
        let mut buffer = [0_u8; 512];
        let Ok(length) = rustix::io::pread(file, &mut buffer, 0) else { return 0 };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        match kind {
            MeterFile::PeakMemory => text.trim().parse().unwrap_or(0),
            MeterFile::CpuNanoseconds => text.trim().parse().unwrap_or(0) / 1_000,
            MeterFile::CpuStat => files::value_of(&text, "usage_usec").unwrap_or(0),
            MeterFile::UnifiedFreeze | MeterFile::V1Freezer => 0,
        }
    }

    /// Starts a new measurement of peak memory (v2: from Linux 6.12).
    pub(crate) fn reset_peak_memory(&self) {
        for (kind, file) in &self.0 {
            if *kind == MeterFile::PeakMemory
                && let Err(error) = rustix::io::pwrite(file, b"0", 0)
            {
                tracing::trace!(%error, "this kernel keeps the peak of the whole life");
            }
        }
    }

    /// Freezes or thaws everything inside.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        for (kind, file) in &self.0 {
            let value: &[u8] = match (kind, frozen) {
                (MeterFile::UnifiedFreeze, true) => b"1",
                (MeterFile::UnifiedFreeze, false) => b"0",
                (MeterFile::V1Freezer, true) => b"FROZEN",
                (MeterFile::V1Freezer, false) => b"THAWED",
                (MeterFile::PeakMemory | MeterFile::CpuNanoseconds | MeterFile::CpuStat, _) => continue,
            };
            if let Err(error) = rustix::io::pwrite(file, value, 0) {
                tracing::warn!(%error, frozen, "could not change the freezer of an instance");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn cpu_shares_follow_memory() {
        let check = |memory_mb, shares, weight| {
            let limits = Limits { memory_mb };
            assert_eq!((limits.v1_shares(), limits.v2_weight()), (shares, weight));
        };
        check(1_769, 1_024, 100);
        check(128, 74, 7);
        check(10_240, 5_927, 578);
    }
}
