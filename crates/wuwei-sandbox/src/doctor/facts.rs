use std::fs;

use crate::cgroup::{Hierarchies, Mounts};
use crate::sys::landlock_version;

/// What the kernel tells about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFacts {
    /// `uname -r`.
    pub(super) kernel: String,
    /// Whether the process is root.
    pub(super) root: bool,
    /// Mounted control groups.
    pub(super) cgroups: Mounts,
    /// Why a control group could not be made, if it could not.
    pub(super) cgroups_refused: Option<String>,
    /// Controllers of the unified tree.
    pub(super) v2_controllers: Vec<String>,
    /// `user.max_user_namespaces`.
    pub(super) max_user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian).
    pub(super) unprivileged_userns_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu).
    pub(super) apparmor_restricts_userns: Option<u64>,
    /// `kernel.seccomp.actions_avail`.
    pub(super) seccomp_actions: Option<String>,
    /// ABI version.
    pub(super) landlock: Option<u32>,
}

impl HostFacts {
    /// Reads everything, and makes a control group for a moment; what is not there stays empty.
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let number = |path: &str| text(path).and_then(|text| text.parse().ok());
        let cgroups = Mounts::of_this_host();
        let controllers =
            cgroups.v2.as_ref().and_then(|mount| fs::read_to_string(mount.join("cgroup.controllers")).ok());
        Self {
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
            root: rustix::process::geteuid().is_root(),
            v2_controllers: controllers.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            cgroups_refused: Hierarchies::try_out(&cgroups).err(),
            cgroups,
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts_userns: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            seccomp_actions: text("/proc/sys/kernel/seccomp/actions_avail"),
            landlock: landlock_version(),
        }
    }

    /// Major and minor version of the kernel.
    pub(super) fn kernel_version(&self) -> (u32, u32) {
        let mut numbers =
            self.kernel.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}
