use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::project;
use crate::failure::Failure;

/// Directories that no function needs at run time.
const LEFT_OUT: &[&str] = &[".git", "__pycache__", ".venv"];

/// The files of a package by their names in it: relative, with `/`, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// One file of a package.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) content: Content,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A file on this machine.
    File(PathBuf),
    /// A symbolic link's target, which stays inside the package.
    Link(String),
    /// Here.
    Bytes(Vec<u8>),
}

impl Tree {
    /// All files below a directory, but for those that no function needs.
    pub(super) fn of_directory(directory: &Path) -> Result<Self, Failure> {
        let mut tree = Self::default();
        tree.add_directory(directory, "")?;
        Ok(tree)
    }

    /// A single file, under its own name or another.
    pub(super) fn of_file(path: &Path, name: Option<&str>) -> Result<Self, Failure> {
        let own_name = path.file_name().unwrap_or_default();
        let name = name.map_or_else(|| own_name.to_string_lossy().into_owned(), str::to_owned);
        let metadata = fs::metadata(path).map_err(|error| cannot_read(path).because(error))?;
        let mut tree = Self::default();
        tree.insert(name, metadata.permissions().mode(), Content::File(path.to_owned()));
        Ok(tree)
    }

    /// Adds an entry; only the permission bits of `mode` are kept.
    pub(super) fn insert(&mut self, name: String, mode: u32, content: Content) {
        self.entries.insert(name, Entry { mode: mode & 0o777, content });
    }

    /// This tree with the files of `upper` added; these win.
    pub(super) fn overlaid_with(mut self, upper: Self) -> Self {
        self.entries.extend(upper.entries);
        self
    }

    /// This tree without a file or directory at its top.
    pub(super) fn without(mut self, top: &str) -> Self {
        self.entries.retain(|name, _| name.split('/').next() != Some(top));
        self
    }

    /// Name and entry, in order of name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The entry of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    fn add_directory(&mut self, directory: &Path, prefix: &str) -> Result<(), Failure> {
        let listing = fs::read_dir(directory).map_err(|error| cannot_read(directory).because(error))?;
        for item in listing {
            let item = item.map_err(|error| cannot_read(directory).because(error))?;
            let path = item.path();
            let file_name = item.file_name().into_string().map_err(|name| {
                Failure::usage(format!("cannot package `{}`: its name is not UTF-8", directory.join(name).display()))
                    .hint("rename it")
            })?;
            let name = format!("{prefix}{file_name}");
            let metadata = fs::symlink_metadata(&path).map_err(|error| cannot_read(&path).because(error))?;
            let mode = metadata.permissions().mode();
            if metadata.is_symlink() {
                if !LEFT_OUT.contains(&file_name.as_str()) {
                    self.insert(name, 0o777, Content::Link(link_target(&path, prefix)?));
                }
            } else if metadata.is_dir() {
                let is_link_farm = file_name == ".bin" && prefix.ends_with("node_modules/");
                if !LEFT_OUT.contains(&file_name.as_str()) && !is_link_farm {
                    self.add_directory(&path, &format!("{name}/"))?;
                }
            } else if metadata.is_file() {
                if name != project::FILE_NAME {
                    self.insert(name, mode, Content::File(path));
                }
            } else {
                return Err(Failure::usage(format!("cannot package `{}`: it is not a file", path.display()))
                    .hint("sockets, pipes and devices cannot be packaged: move it elsewhere"));
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Its text; `None` for links and for what is not UTF-8.
    pub(super) fn text(&self) -> Option<String> {
        let bytes = match &self.content {
            Content::File(path) => fs::read(path).ok()?,
            Content::Bytes(bytes) => bytes.clone(),
            Content::Link(_) => return None,
        };
        String::from_utf8(bytes).ok()
    }
}

/// Target of a link in the package's directory `prefix`; one that leaves the package is refused.
fn link_target(path: &Path, prefix: &str) -> Result<String, Failure> {
    let target = fs::read_link(path).map_err(|error| cannot_read(path).because(error))?;
    let mut depth = prefix.matches('/').count();
    let mut leaves = target.is_absolute();
    for component in target.components() {
        match component {
            Component::ParentDir if depth == 0 => leaves = true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    match target.to_str().filter(|_| !leaves) {
        Some(target) => Ok(target.to_owned()),
        None => Err(Failure::usage(format!("cannot package `{}`: the link leads out of the package", path.display()))
            .hint("replace the link by a copy of the file")),
    }
}

fn cannot_read(path: &Path) -> Failure {
    Failure::local(format!("cannot read `{}`", path.display()))
}
