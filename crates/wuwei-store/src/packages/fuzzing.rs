//! Zips as a stranger may upload them, for the fuzz target `package`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::entry_name::normalise;
use super::plan::{Node, Plan};
use super::unpack::unpack;

/// What is checked and accepted stays inside of its directory when it is unpacked, and is what the check has seen.
pub fn package(zip: &[u8]) {
    let Ok(plan) = Plan::of(zip) else { return };
    assert!(!plan.nodes.is_empty(), "an empty package is accepted");
    for (path, node) in &plan.nodes {
        assert_eq!(normalise(path).ok().as_deref(), Some(path.as_str()), "a path is not in its normal form");
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert!(matches!(plan.nodes.get(parent), Some(Node::Directory)), "{parent} is no directory");
        }
        if let Node::Link { target } = node {
            assert!(!target.starts_with('/') && !target.is_empty(), "a link leads to `{target}`");
        }
    }
    let place = Place::new();
    let root = place.0.join("code");
    // What only unpacking finds out (a name that this file system does not take) is a refusal, too.
    if unpack(zip, &plan, &root).is_ok() {
        let mut count = 0;
        walk(&root, &root, &mut count);
        assert_eq!(count, plan.nodes.len(), "something else than the plan was unpacked");
    }
    let beside = fs::read_dir(&place.0).expect("the place is there").count();
    assert!(beside <= 1, "something was unpacked beside the package");
}

/// A directory of this thread; gone when it is dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("wuwei-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
        let memory = Path::new("/dev/shm");
        let path = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }.join(name);
        fs::create_dir_all(&path).expect("a directory for packages");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn walk(root: &Path, directory: &Path, count: &mut usize) {
    for entry in fs::read_dir(directory).expect("a directory of the package") {
        let path = entry.expect("an entry").path();
        *count += 1;
        let metadata = fs::symlink_metadata(&path).expect("an entry");
        let kind = metadata.file_type();
        if kind.is_symlink() {
            // What it leads to, when that is there, is inside.
            if let Ok(target) = fs::canonicalize(&path) {
                assert!(target.starts_with(root), "`{}` leads to `{}`", path.display(), target.display());
            }
            continue;
        }
        assert!(kind.is_dir() || kind.is_file(), "`{}` is neither file nor directory", path.display());
        assert_eq!(metadata.permissions().mode() & 0o7022, 0, "`{}` may do too much", path.display());
        if kind.is_dir() {
            walk(root, &path, count);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn packages_of_the_seeds_stay_in_their_directory() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/package");
        let mut count = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            super::package(&bytes);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0x21;
                super::package(&changed);
            }
            count += 1;
        }
        assert!(count > 2);
    }
}
