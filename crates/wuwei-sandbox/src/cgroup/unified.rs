//! Where in the unified tree (v2) a server puts the groups of its instances.
//!
//! Below the root of the tree, a group has either processes or controllers for the groups in it. So a server that is
//! given a group of its own (a systemd unit with `Delegate=yes`, a container) steps aside into a leaf of it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::event::poll;
use rustix::time::Timespec;

use super::files;

/// What an instance's limits need.
const REQUIRED: [&str; 2] = ["memory", "pids"];
/// Weighs instances against each other. Not every delegated group has it, and real-time processes keep it from being enabled.
const WEIGHT: &str = "cpu";
/// Group that the server and its launcher move into.
const LEAF: &str = "wuwei-main";
/// Pause before a busy group is tried again: a thread that is exiting counts as a member, and cannot be moved.
const SETTLE_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// How often a busy group is tried.
const SETTLE_TRIES: u32 = 500;

/// Whether a tree has the controllers that limits need.
pub(super) fn offers_limits(mount: &Path) -> bool {
    let offered = names(mount, "cgroup.controllers").unwrap_or_default();
    REQUIRED.iter().all(|wanted| offered.contains(*wanted))
}

/// The group that the calling process is in, or was before it stepped aside; the mount when it is not to be seen there.
///
/// `own_path` is from `/proc/self/cgroup`, without the leading slash.
pub(super) fn own_group(mount: &Path, own_path: &str) -> PathBuf {
    let path = Path::new(own_path);
    let group = match path.parent() {
        Some(parent) if path.ends_with(LEAF) => mount.join(parent),
        _ if path.as_os_str().is_empty() => mount.to_owned(),
        _ => mount.join(path),
    };
    if group.is_dir() { group } else { mount.to_owned() }
}

/// Finds (and takes over) the group to put the server's groups into: the own one where it is the server's alone, else
/// the topmost, which on a host is the root of the tree, and in a container the container's.
pub(super) fn place(mount: &Path, own_path: &str) -> PathBuf {
    let group = own_group(mount, own_path);
    if group != mount && holds_only_the_server(&group) {
        match take_over(&group) {
            Ok(()) => return group,
            Err(error) => tracing::debug!(%error, group = %group.display(), "own control group is not delegated"),
        }
    }
    if !is_root_of_the_tree(mount)
        && let Err(error) = take_over(mount)
    {
        tracing::warn!(%error, group = %mount.display(), "could not take over the container's control group");
    }
    mount.to_owned()
}

/// Lets the groups directly in this one have limits.
pub(super) fn enable_controllers(group: &Path) -> io::Result<()> {
    let enabled = names(group, "cgroup.subtree_control")?;
    for controller in REQUIRED.iter().filter(|controller| !enabled.contains(**controller)) {
        files::write(group, "cgroup.subtree_control", &format!("+{controller}"))?;
    }
    if !enabled.contains(WEIGHT)
        && let Err(error) = files::write(group, "cgroup.subtree_control", &format!("+{WEIGHT}"))
    {
        tracing::warn!(%error, group = %group.display(), "functions get equal shares of the CPU, whatever their memory");
    }
    Ok(())
}

/// Undoes what [`place`] did to a group, unless others have groups in it by now.
pub(super) fn give_back(group: &Path) -> io::Result<()> {
    let leaf = group.join(LEAF);
    if !leaf.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.path() != leaf {
            return Ok(());
        }
    }
    for controller in names(group, "cgroup.subtree_control")? {
        files::write(group, "cgroup.subtree_control", &format!("-{controller}"))?;
    }
    until_settled(|| {
        move_members(&leaf, group)?;
        files::remove_tree(&leaf)
    })
}

/// Moves the members of a group to its leaf and enables its controllers, or leaves it as it was.
fn take_over(group: &Path) -> io::Result<()> {
    let leaf = group.join(LEAF);
    let taken = until_settled(|| {
        if !names(group, "cgroup.procs")?.is_empty() {
            create_if_missing(&leaf)?;
            move_members(group, &leaf)?;
        }
        enable_controllers(group)
    });
    taken.inspect_err(|_cause| {
        if let Err(error) = give_back(group) {
            tracing::warn!(%error, group = %group.display(), "could not leave a control group as it was");
        }
    })
}

fn create_if_missing(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn move_members(from: &Path, to: &Path) -> io::Result<()> {
    names(from, "cgroup.procs")?.iter().try_for_each(|pid| match files::write(to, "cgroup.procs", pid) {
        // It has ended meanwhile.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    })
}

/// Tries something again while the kernel calls a group busy, for about a second.
fn until_settled(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..SETTLE_TRIES {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            other => return other,
        }
        match poll(&mut [], Some(&SETTLE_PAUSE)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    attempt()
}

/// The root alone has no type: it cannot be anything but a domain.
fn is_root_of_the_tree(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}

/// Whether the launcher and its parent are alone in a group: a login session's shell must not be moved about.
fn holds_only_the_server(group: &Path) -> bool {
    let own = rustix::process::getpid();
    let server = [Some(own), rustix::process::getppid()].map(|pid| pid.map_or(0, rustix::process::Pid::as_raw_pid));
    let Ok(members) = names(group, "cgroup.procs") else { return false };
    members.iter().all(|pid| pid.parse().is_ok_and(|pid: i32| server.contains(&pid)))
}

/// The words of a control file.
fn names(group: &Path, file: &str) -> io::Result<BTreeSet<String>> {
    Ok(fs::read_to_string(group.join(file))?.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{offers_limits, own_group};
    use std::fs;

    #[test]
    fn the_own_group_is_the_one_around_the_leaf() {
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir_all(mount.path().join("system.slice/wuwei.service/wuwei-main")).unwrap();
        let check = |own, expected| assert_eq!(own_group(mount.path(), own), mount.path().join(expected));
        check("system.slice/wuwei.service", "system.slice/wuwei.service");
        check("system.slice/wuwei.service/wuwei-main", "system.slice/wuwei.service");
        fs::create_dir(mount.path().join("wuwei-main")).unwrap();
        check("wuwei-main", "");
        check("", "");
        check("not/visible/here", "");
    }

    #[test]
    fn limits_need_memory_and_processes_but_not_cpu() {
        let mount = tempfile::tempdir().unwrap();
        let check = |controllers, expected| {
            fs::write(mount.path().join("cgroup.controllers"), controllers).unwrap();
            assert_eq!(offers_limits(mount.path()), expected, "{controllers}");
        };
        check("cpuset cpu io memory pids\n", true);
        check("memory pids\n", true);
        check("cpu memory\n", false);
        check("\n", false);
    }
}
