use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{files, unified};

/// The v1 controllers that wuwei uses where they are mounted.
const V1_CONTROLLERS: [&str; 5] = ["memory", "cpu", "cpuacct", "pids", "freezer"];

/// Why no control groups can be made.
#[derive(Debug, Error)]
pub(crate) enum CgroupError {
    /// Neither version offers what limits need.
    #[error("no cgroup hierarchy with controllers for memory and processes is mounted below `/sys/fs/cgroup`")]
    NoMemoryController,
    /// The hierarchy cannot be written.
    #[error("prepare control group `{}`", path.display())]
    Prepare {
        /// Directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Where cgroup file systems are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// v1: controller and mount point.
    pub(crate) v1: Vec<(String, PathBuf)>,
    /// v2.
    pub(crate) v2: Option<PathBuf>,
}

impl Mounts {
    /// Reads them from the text of `/proc/self/mounts`.
    pub(crate) fn parse(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let mut fields = line.split(' ');
            let (Some(_source), Some(target), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            match kind {
                "cgroup2" => found.v2 = found.v2.or_else(|| Some(PathBuf::from(target))),
                "cgroup" => {
                    for option in options.split(',').filter(|option| V1_CONTROLLERS.contains(option)) {
                        found.v1.push((option.to_owned(), PathBuf::from(target)));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Reads them from the running kernel.
    pub(crate) fn of_this_host() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
    }
}

/// The control groups of one server: a directory of its own in each hierarchy in use.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchies {
    /// v1 directories: controller and path.
    pub(super) v1: Vec<(String, PathBuf)>,
    /// Directory in the unified tree.
    pub(super) v2: Option<PathBuf>,
    /// Whether the unified tree carries the limits (else v1 does).
    pub(super) v2_limits: bool,
}

impl Hierarchies {
    /// Makes the server's directories, named `wuwei-<server>`, and removes what an earlier server left in them.
    pub(crate) fn prepare(mounts: &Mounts, own_cgroups: &str, server: &str) -> Result<Self, CgroupError> {
        let name = format!("wuwei-{server}");
        let has_v1_memory = mounts.v1.iter().any(|(controller, _)| controller == "memory");
        let v2_limits = !has_v1_memory && mounts.v2.as_deref().is_some_and(unified::offers_limits);
        if !has_v1_memory && !v2_limits {
            return Err(CgroupError::NoMemoryController);
        }
        let v1 = if v2_limits {
            Vec::new()
        } else {
            let place = |(controller, mount): &(String, PathBuf)| {
                let base = mount.join(own_path(own_cgroups, controller));
                let base = if base.is_dir() { base } else { mount.clone() };
                (controller.clone(), base.join(&name))
            };
            mounts.v1.iter().map(place).collect()
        };
        let own_v2 = own_path(own_cgroups, "");
        let place = |mount: &Path| {
            if v2_limits { unified::place(mount, own_v2) } else { unified::own_group(mount, own_v2) }
        };
        let v2 = mounts.v2.as_deref().map(|mount| place(mount).join(&name));
        let hierarchies = Self { v1, v2, v2_limits };
        hierarchies.create().inspect_err(|_cause| {
            // Those that could be made before one could not.
            if let Err(error) = hierarchies.directories().try_for_each(|path| files::remove_tree(path)) {
                tracing::debug!(%error, "control groups of a server that does not start are left");
            }
        })?;
        Ok(hierarchies)
    }

    /// As [`Hierarchies::prepare`], on this host and for the calling process.
    pub(crate) fn prepare_here(server: &str) -> Result<Self, CgroupError> {
        let own_cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::prepare(&Mounts::of_this_host(), &own_cgroups, server)
    }

    /// Makes the directories of a server that does not exist, and removes them again, to learn whether it is allowed.
    pub(crate) fn try_out(mounts: &Mounts) -> Result<(), String> {
        let own_cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let name = format!("trial-{}", std::process::id());
        let tried = Self::prepare(mounts, &own_cgroups, &name).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{error}{cause}")
        });
        tried?.remove().map_err(|error| format!("remove a control group: {error}"))
    }

    fn create(&self) -> Result<(), CgroupError> {
        for path in self.directories() {
            sweep(path);
            let prepared = match fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            };
            prepared.map_err(|source| CgroupError::Prepare { path: path.clone(), source })?;
        }
        if let (true, Some(path)) = (self.v2_limits, &self.v2) {
            let groups = path.parent().into_iter().chain([path.as_path()]);
            for group in groups {
                unified::enable_controllers(group)
                    .map_err(|source| CgroupError::Prepare { path: group.to_owned(), source })?;
            }
        }
        self.limit_processes();
        Ok(())
    }

    /// Leaves a quarter of the host's process numbers to the host, however many sandboxes use up theirs.
    fn limit_processes(&self) {
        let numbers = fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok());
        let Some(numbers): Option<u64> = numbers else { return };
        let limited = self.v1.iter().filter(|(controller, _)| controller == "pids").map(|(_, path)| path);
        for path in limited.chain(self.v2.iter().filter(|_| self.v2_limits)) {
            if let Err(error) = files::write_if_present(path, "pids.max", &(numbers / 4 * 3).to_string()) {
                tracing::warn!(%error, "the host's process numbers are not kept from functions");
            }
        }
    }

    /// The server's directories, those of v1 first.
    pub(super) fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.v1.iter().map(|(_, path)| path).chain(self.v2.as_ref())
    }

    /// Removes the server's directories; those of slots must be gone.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.directories().try_for_each(|path| files::remove_tree(path))?;
        match self.v2.as_deref().and_then(Path::parent).filter(|_| self.v2_limits) {
            Some(group) => unified::give_back(group),
            None => Ok(()),
        }
    }
}

/// Path of a controller's own group from the text of `/proc/self/cgroup`, without the leading slash; `""` names v2.
///
/// A group outside of the own cgroup namespace (a path with `..`) counts as the namespace's root: it has no directory here.
fn own_path<'text>(own_cgroups: &'text str, controller: &str) -> &'text str {
    let path = own_cgroups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    });
    path.filter(|path| !path.split('/').any(|component| component == "..")).unwrap_or("/").trim_start_matches('/')
}

/// Kills and removes what an earlier server of the same data directory left behind. Best effort: what stays is reported.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        let path = entry.path();
        super::slot::kill_all(&path);
        if let Err(error) = files::remove_tree(&path) {
            tracing::warn!(%error, group = %path.display(), "a control group of an earlier server is still busy");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mounts, own_path};
    use std::path::PathBuf;

    #[test]
    fn mounts_of_hybrid_hosts_give_v1_controllers_and_the_unified_tree() {
        let text = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                    cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let mounts = Mounts::parse(text);
        let controllers: Vec<&str> = mounts.v1.iter().map(|(controller, _)| controller.as_str()).collect();
        assert_eq!(controllers, ["cpu", "cpuacct", "memory"]);
        assert_eq!(mounts.v2, Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn own_paths_are_found_per_controller() {
        let text = "4:memory:/outer/inner\n3:cpu,cpuacct:/\n0::/user.slice\n";
        assert_eq!(own_path(text, "memory"), "outer/inner");
        assert_eq!(own_path(text, "cpuacct"), "");
        assert_eq!(own_path(text, ""), "user.slice");
        assert_eq!(own_path(text, "pids"), "");
        assert_eq!(own_path("0::/../other\n", ""), "");
    }
}
