//! The root template: an almost empty directory tree with the mount points of a sandbox, shared by all of them read-only.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

/// Uid of every function inside its sandbox, as on AWS.
pub(crate) const SANDBOX_UID: u32 = 993;
/// Gid of every function inside its sandbox, as on AWS.
pub(crate) const SANDBOX_GID: u32 = 990;

/// Directories of the system that exist as a symlink into `/usr` or as a directory of their own.
const SYSTEM_DIRECTORIES: [&str; 5] = ["bin", "sbin", "lib", "lib32", "lib64"];
/// Parts of the host's `/etc` that programs in `/usr` need: the linker's cache, trusted certificates, alternatives.
const CONFIGURATION: [&str; 5] =
    ["etc/ld.so.cache", "etc/alternatives", "etc/ssl/certs", "etc/pki/tls/certs", "etc/pki/ca-trust"];
/// Device nodes that a sandbox has.
pub(super) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Where to ask for names; without a network nothing is there, which programs notice at once.
const RESOLVERS: &str = "nameserver 169.254.0.1\noptions timeout:3 attempts:2\n";

const FILES: [(&str, &str); 5] = [
    ("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:993:990::/tmp:/sbin/nologin\n"),
    ("etc/group", "root:x:0:\nsbx_user1051:x:990:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("etc/resolv.conf", RESOLVERS),
];

/// The template on disk, and what every sandbox shows of the host.
#[derive(Clone, Debug)]
pub(super) struct Template {
    root: PathBuf,
    /// Source on the host and target relative to the root.
    pub(super) system: Vec<(PathBuf, PathBuf)>,
}

impl Template {
    /// Makes the tree from nothing (an earlier one is removed).
    pub(super) fn build(root: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let template = Self { root: root.to_owned(), system: Vec::new() };
        // The dynamic linker looks once whether a directory of LD_LIBRARY_PATH is there: in a sandbox that is built ahead,
        // before the function's package is.
        for directory in ["dev/shm", "etc", "opt", "proc", "tmp", "usr", "var/task/lib", "var/runtime", "empty"] {
            template.directory(Path::new(directory))?;
        }
        for device in DEVICES {
            template.file(&Path::new("dev").join(device), "")?;
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            symlink(target, root.join("dev").join(name))?;
        }
        for (path, text) in FILES {
            template.file(Path::new(path), text)?;
        }
        template.with_system()
    }

    fn with_system(mut self) -> io::Result<Self> {
        self.system.push((PathBuf::from("/usr"), PathBuf::from("usr")));
        for name in SYSTEM_DIRECTORIES {
            let host = Path::new("/").join(name);
            match fs::symlink_metadata(&host) {
                Ok(metadata) if metadata.is_symlink() => symlink(fs::read_link(&host)?, self.root.join(name))?,
                Ok(metadata) if metadata.is_dir() => {
                    self.directory(Path::new(name))?;
                    self.system.push((host, PathBuf::from(name)));
                }
                _ => {}
            }
        }
        let named = CONFIGURATION.into_iter().map(PathBuf::from);
        for name in named.chain(java_configuration(Path::new("/etc"))) {
            let host = Path::new("/").join(&name);
            match fs::metadata(&host) {
                Ok(metadata) if metadata.is_dir() => self.directory(&name)?,
                Ok(_) => self.file(&name, "")?,
                Err(_absent) => continue,
            }
            self.system.push((host, name));
        }
        Ok(self)
    }

    /// Where the template is on the host.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes sure that a target (absolute in the sandbox) has a mount point; gives it relative to the root.
    pub(super) fn mount_point(&self, source: &Path, target: &Path) -> io::Result<PathBuf> {
        let relative: PathBuf =
            target.components().filter(|component| matches!(component, Component::Normal(_))).collect();
        // Below /usr the host's own directory is the mount point: it is visible there already.
        let below_system = self.system.iter().any(|(_, system)| relative.starts_with(system));
        if !below_system {
            if fs::metadata(source)?.is_dir() { self.directory(&relative)? } else { self.file(&relative, "")? }
        }
        Ok(relative)
    }

    fn directory(&self, relative: &Path) -> io::Result<()> {
        let mut path = self.root.clone();
        fs::create_dir_all(&path)?;
        for component in relative.components() {
            path.push(component);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Not left to the umask: functions run under other uids.
                other => other.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))?,
            }
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o755))
    }

    fn file(&self, relative: &Path, text: &str) -> io::Result<()> {
        if let Some(parent) = relative.parent() {
            self.directory(parent)?;
        }
        let path = self.root.join(relative);
        if !path.exists() {
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }
}

/// Where Debian keeps the files that each JDK in `/usr/lib/jvm` links to, and without which it does not start.
fn java_configuration(etc: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(etc).into_iter().flatten().flatten();
    let java = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("java-"));
    java.map(|entry| Path::new("etc").join(entry.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Template, java_configuration};
    use std::path::Path;

    #[test]
    fn each_jdk_has_its_configuration() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["java-17-openjdk", "javascript", "ssl"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        assert_eq!(java_configuration(directory.path()), [Path::new("etc/java-17-openjdk")]);
    }

    #[test]
    fn names_are_asked_for_where_the_router_is() {
        assert!(super::RESOLVERS.starts_with(&format!("nameserver {}\n", crate::egress::ROUTER)));
    }

    #[test]
    fn mount_points_outside_the_system_are_made_and_building_again_starts_afresh() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let template = Template::build(&root).unwrap();
        let relative = template.mount_point(Path::new("/proc"), Path::new("/home/someone/python")).unwrap();
        assert_eq!(relative, Path::new("home/someone/python"));
        assert!(root.join(&relative).is_dir());
        assert_eq!(template.mount_point(Path::new("/usr/bin"), Path::new("/usr/bin")).unwrap(), Path::new("usr/bin"));
        Template::build(&root).unwrap();
        assert!(!root.join("home").exists());
        assert!(root.join("etc/passwd").is_file());
    }
}
