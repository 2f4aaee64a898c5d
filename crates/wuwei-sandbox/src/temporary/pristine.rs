//! Whether anybody has changed a file system: one that nobody has may be the next environment's.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// What may be written to the disk without that anybody wrote: the kernel's own notes about the file system, in KiB.
const NOTES_KIB: u64 = 64;

/// What a file system looks like from outside.
///
/// Whoever makes, names or removes a file in its root, or changes the root itself, changes the root's times, and they are
/// not to be set back: the time of the last change of an inode is the kernel's. A file that never had a name is seen by
/// what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    times: [(i64, i64); 3],
    root: [u64; 4],
    free: [u64; 2],
}

/// A file system as it was when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pristine {
    look: Look,
    written_kib: u64,
}

impl Pristine {
    /// Of a mount of it.
    pub(super) fn of(mount: &OwnedFd) -> io::Result<Self> {
        Ok(Self { look: Look::of(mount)?, written_kib: written_kib(mount)? })
    }

    /// Whether it still is as it was. To be asked when no sandbox that has it runs any more.
    pub(super) fn is_still(&self, mount: &OwnedFd) -> bool {
        Self::of(mount)
            .is_ok_and(|now| now.look == self.look && now.written_kib.saturating_sub(self.written_kib) <= NOTES_KIB)
    }
}

impl Look {
    fn of(mount: &OwnedFd) -> io::Result<Self> {
        let root = rustix::fs::fstat(mount)?;
        let free = rustix::fs::fstatfs(mount)?;
        let seconds = |time: i64, nanoseconds: u64| (time, i64::try_from(nanoseconds).unwrap_or(-1));
        Ok(Self {
            times: [
                seconds(root.st_atime, root.st_atime_nsec),
                seconds(root.st_mtime, root.st_mtime_nsec),
                seconds(root.st_ctime, root.st_ctime_nsec),
            ],
            root: [root.st_mode.into(), root.st_uid.into(), root.st_gid.into(), root.st_nlink],
            free: [free.f_bfree, free.f_ffree],
        })
    }
}

/// What was written to the disk of a file system since it was mounted.
fn written_kib(mount: &OwnedFd) -> io::Result<u64> {
    let device = rustix::fs::fstat(mount.as_fd())?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"))?;
    let name = device.file_name().ok_or(io::ErrorKind::NotFound)?.to_string_lossy().into_owned();
    let text = fs::read_to_string(format!("/sys/fs/ext4/{name}/session_write_kbytes"))?;
    text.trim().parse().map_err(|_not_a_number| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::Look;

    fn check(what: &str, change: impl FnOnce(&Path), is_seen: bool) {
        let directory = tempfile::tempdir().unwrap();
        let look = || Look::of(&OwnedFd::from(fs::File::open(directory.path()).unwrap())).unwrap();
        let (times, root) = (look().times, look().root);
        change(directory.path());
        assert_eq!((look().times, look().root) != (times, root), is_seen, "{what}");
    }

    #[test]
    fn whatever_is_done_in_the_root_is_seen_afterwards() {
        check("nothing", |_root| (), false);
        check("a file", |root| fs::write(root.join("file"), "x").unwrap(), true);
        let and_back = |root: &Path| {
            fs::write(root.join("file"), "x").unwrap();
            fs::remove_file(root.join("file")).unwrap();
        };
        check("a file that is gone again", and_back, true);
        let times_back = |root: &Path| {
            let before = fs::metadata(root).unwrap();
            and_back(root);
            let times = fs::FileTimes::new().set_modified(before.modified().unwrap());
            fs::File::open(root).unwrap().set_times(times).unwrap();
        };
        check("a file that is gone again, with the time set back", times_back, true);
        check("another mode", |root| fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap(), true);
    }
}
