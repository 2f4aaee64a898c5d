//! Several unpacked packages as one directory: what `/opt` shows of the layers of a function.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

const DIRECTORY_MODE: u32 = 0o755;

/// Makes `target`, which must not be there, out of `sources`; what is in a later one covers what is in an earlier one.
///
/// Files are hard links where that is possible: they take no room of their own. Nothing is written through a link that
/// a package has in it. Durable when it returns.
pub(super) fn merge(sources: &[impl AsRef<Path>], target: &Path) -> io::Result<()> {
    make_directory(target)?;
    for source in sources {
        lay_over(source.as_ref(), target)?;
    }
    rustix::fs::syncfs(fs::File::open(target)?)?;
    Ok(())
}

fn lay_over(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let covered = match fs::symlink_metadata(&to) {
            Ok(metadata) => Some(metadata.file_type()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            match covered {
                Some(covered) if covered.is_dir() => {}
                Some(_file) => {
                    fs::remove_file(&to)?;
                    make_directory(&to)?;
                }
                None => make_directory(&to)?,
            }
            lay_over(&from, &to)?;
            continue;
        }
        match covered {
            Some(covered) if covered.is_dir() => fs::remove_dir_all(&to)?,
            Some(_file) => fs::remove_file(&to)?,
            None => {}
        }
        if kind.is_symlink() { symlink(fs::read_link(&from)?, &to)? } else { share(&from, &to)? }
    }
    Ok(())
}

/// A second name of a file, or a copy where the file system or its rules allow no second name.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
    // Again, because the umask may have taken bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))
}

/// Bytes of all files below a directory.
pub(super) fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if metadata.is_dir() {
            bytes += bytes_below(&entry.path())?;
        } else {
            bytes += metadata.size();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    use super::{bytes_below, merge};

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn later_packages_cover_earlier_ones_and_directories_come_together() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two, all] = ["one", "two", "all"].map(|name| directory.path().join(name));
        write(&one, "python/a.py", "1");
        write(&one, "python/both.py", "1");
        write(&one, "file", "1");
        write(&one, "tree/inner", "1");
        write(&two, "python/both.py", "22");
        write(&two, "python/b.py", "22");
        write(&two, "file/inner", "22");
        write(&two, "tree", "22");
        merge(&[&one, &two], &all).unwrap();
        let read = |path: &str| fs::read_to_string(all.join(path)).unwrap();
        assert_eq!(["python/a.py", "python/both.py", "python/b.py"].map(read), ["1", "22", "22"]);
        assert_eq!(["file/inner", "tree"].map(read), ["22", "22"]);
        assert_eq!(bytes_below(&all).unwrap(), 9);
        // The packages stay as they were, and share their bytes.
        assert_eq!(fs::read_to_string(one.join("python/both.py")).unwrap(), "1");
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&all.join("python/a.py")), inode(&one.join("python/a.py")));
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two, all, outside] = ["one", "two", "all", "outside"].map(|name| directory.path().join(name));
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&one).unwrap();
        symlink(&outside, one.join("lib")).unwrap();
        symlink(outside.join("made"), one.join("made")).unwrap();
        write(&two, "lib/inner", "2");
        write(&two, "made", "2");
        merge(&[&one, &two], &all).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(fs::symlink_metadata(all.join("lib")).unwrap().is_dir());
        assert_eq!(fs::read_to_string(all.join("made")).unwrap(), "2");
    }
}
