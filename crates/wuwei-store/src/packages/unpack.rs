//! Writing a checked package to the disk.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Cursor};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zip::ZipArchive;

use super::plan::{Node, Plan};

/// Readable by everyone, writable by the owner alone; never more, whatever the zip says.
const FILE_MODE: u32 = 0o644;
/// The same for what may be executed and for directories.
const EXECUTABLE_MODE: u32 = 0o755;
/// Nodes up to which each is synced; from there on one sync of the whole file system is the cheaper way.
const SYNC_EACH_MAX: usize = 256;

/// Makes `root`, which must not be there, and fills it. Durable when it returns.
pub(super) fn unpack(zip: &[u8], plan: &Plan, root: &Path) -> io::Result<()> {
    let sync_each = plan.nodes.len() <= SYNC_EACH_MAX;
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    make_directory(root)?;
    // Parents come before children, and no path goes through a link: the check has seen to both.
    for (path, node) in &plan.nodes {
        let path = root.join(path);
        match node {
            Node::Directory => make_directory(&path)?,
            Node::Link { target } => std::os::unix::fs::symlink(target, &path)?,
            Node::File { index, executable } => {
                let mode = if *executable { EXECUTABLE_MODE } else { FILE_MODE };
                let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
                io::copy(&mut archive.by_index(*index)?, &mut file)?;
                // Again, because the umask may have taken bits away.
                file.set_permissions(Permissions::from_mode(mode))?;
                if sync_each {
                    file.sync_all()?;
                }
            }
        }
    }
    if !sync_each {
        rustix::fs::syncfs(File::open(root)?)?;
        return Ok(());
    }
    for (path, node) in &plan.nodes {
        match node {
            Node::Directory => File::open(root.join(path))?.sync_all()?,
            Node::File { .. } | Node::Link { .. } => {}
        }
    }
    File::open(root)?.sync_all()
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(EXECUTABLE_MODE))
}
