//! Gives a data directory to the user that the server is going to be.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, fstat, openat, statat};

/// What a server keeps in its data directory; anything else there is somebody else's.
const OURS: [&str; 16] = [
    "wuwei.db",
    "wuwei.db-wal",
    "wuwei.db-shm",
    "wuwei.db-journal",
    "master.key",
    "lock",
    "credentials.json",
    "server.json",
    "packages",
    "code",
    "incoming",
    "logs",
    "ledger",
    "audit",
    "events",
    "run",
];
/// The owner alone, and its group to pass through.
const MODE: u32 = 0o710;

/// From whom, to whom.
struct Change {
    /// The directory's owner so far.
    from: u32,
    user: Uid,
    group: Gid,
}

/// Changes owners; symbolic links are not followed. The directory itself comes last, so that what was interrupted is
/// done again.
pub(super) fn hand_over(directory: &Path, from: u32, user: u32, group: u32) -> io::Result<()> {
    let root = open_directory(CWD, directory)?;
    let change = Change { from, user: Uid::from_raw(user), group: Gid::from_raw(group) };
    let own = fstat(&root)?;
    if (own.st_uid, own.st_gid) != (user, group) {
        for name in OURS {
            match change.entry(root.as_fd(), name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        fchown(&root, Some(change.user), Some(change.group))?;
    }
    Ok(fchmod(&root, Mode::from_raw_mode(MODE))?)
}

impl Change {
    /// One entry and all below it.
    fn entry(&self, parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<()> {
        let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_directory = FileType::from_raw_mode(found.st_mode).is_dir();
        // A further link to a file of somebody else could be a trap for root.
        let ours = found.st_uid == self.from || found.st_uid == 0 || found.st_uid == self.user.as_raw();
        if !ours || (!is_directory && found.st_nlink > 1) {
            return Ok(());
        }
        if is_directory {
            let directory = open_directory(parent, name)?;
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                let name: &CStr = entry.file_name();
                if name != c"." && name != c".." {
                    self.entry(directory.as_fd(), name)?;
                }
            }
            return Ok(fchown(&directory, Some(self.user), Some(self.group))?);
        }
        Ok(chownat(parent, name, Some(self.user), Some(self.group), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}
