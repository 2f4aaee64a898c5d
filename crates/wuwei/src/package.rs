//! From a directory or file to a package: what it is, and the bytes of its zip.

mod archive;
mod dependencies;
mod javascript;
mod project;
mod recognise;
mod requirements;
mod tree;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wuwei_model::limits;

use crate::commands::runtimes::OfferedRuntime;
use crate::failure::Failure;
use tree::Tree;

pub(crate) use project::Project;

/// Endings of single files that are functions.
const SCRIPTS: [&str; 4] = ["py", "mjs", "js", "cjs"];

/// What a deployer said; what is `None` is recognised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) runtime: Option<String>,
    pub(crate) handler: Option<String>,
}

/// A package that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Package {
    /// Runtime identifier.
    pub(crate) runtime: String,
    /// Handler setting.
    pub(crate) handler: String,
    /// The zip file.
    pub(crate) zip: Vec<u8>,
}

/// What stands at the path that is to be deployed.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    kind: SourceKind,
    /// The project file of a directory; all defaults elsewhere.
    pub(crate) project: Project,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceKind {
    Directory,
    Zip,
    Script,
    Executable,
}

impl Source {
    /// Looks at a path; reads the project file of a directory.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let metadata = fs::metadata(path).map_err(|error| {
            Failure::usage(format!("cannot read `{shown}`"))
                .because(error)
                .hint("name a directory, a .zip, a .py, a .mjs, .js or .cjs, or an executable")
        })?;
        let kind = if metadata.is_dir() {
            SourceKind::Directory
        } else if path.extension().is_some_and(|extension| extension == "zip") {
            SourceKind::Zip
        } else if path.extension().is_some_and(|extension| SCRIPTS.iter().any(|script| extension == *script)) {
            SourceKind::Script
        } else if metadata.is_file() && is_program(path)? {
            if metadata.permissions().mode() & 0o111 == 0 {
                return Err(Failure::usage(format!("`{shown}` is a program but not executable"))
                    .hint(format!("chmod +x {}", crate::commands::shell_quote(&path.to_string_lossy()))));
            }
            SourceKind::Executable
        } else {
            return Err(Failure::usage(format!("`{shown}` is nothing that can be deployed"))
                .hint("name a directory, a .zip, a .py, a .mjs, .js or .cjs, or an executable"));
        };
        let project = if kind == SourceKind::Directory { Project::read(path)? } else { Project::default() };
        Ok(Self { path: path.to_owned(), kind, project })
    }

    /// The name of the directory or file as a function's name.
    pub(crate) fn default_name(&self) -> Result<String, Failure> {
        let shown = self.path.display();
        let cannot =
            || Failure::usage(format!("cannot make a function's name of `{shown}`")).hint("give one with --name");
        // `.` and `..` have no name of their own.
        let full = self.path.canonicalize().map_err(|error| cannot().because(error))?;
        let name = if self.kind == SourceKind::Directory { full.file_name() } else { full.file_stem() };
        let name = function_name(&name.ok_or_else(cannot)?.to_string_lossy());
        if name.is_empty() { Err(cannot()) } else { Ok(name) }
    }

    /// Packages it. `offered` are the server's runtimes; `remark` is told what takes long.
    pub(crate) fn package(
        &self,
        wishes: &Wishes,
        offered: &[OfferedRuntime],
        remark: &dyn Fn(&str),
    ) -> Result<Package, Failure> {
        let shown = self.path.display().to_string();
        let tree = match self.kind {
            SourceKind::Directory => Tree::of_directory(&self.path)?,
            SourceKind::Script => Tree::of_file(&self.path, None)?,
            SourceKind::Executable => Tree::of_file(&self.path, Some("bootstrap"))?,
            SourceKind::Zip => {
                let zip = fs::read(&self.path)
                    .map_err(|error| Failure::local(format!("cannot read `{shown}`")).because(error))?;
                let tree = archive::read(&zip, &shown)?;
                let found = recognise::recognise(&tree, wishes, offered, &shown)?;
                return ready(found, zip);
            }
        };
        let found = recognise::recognise(&tree, wishes, offered, &shown)?;
        let requirements = self.path.join("requirements.txt");
        if self.kind == SourceKind::Directory && found.runtime.starts_with("python") && requirements.is_file() {
            remark("installing requirements.txt");
            let staging = tempfile::tempdir()
                .map_err(|error| Failure::local("cannot make a temporary directory").because(error))?;
            requirements::install(&requirements::interpreter(&found.runtime, offered), &requirements, staging.path())?;
            let tree = Tree::of_directory(staging.path())?.overlaid_with(tree);
            return ready(found, archive::write(&tree)?);
        }
        if self.kind == SourceKind::Directory && found.runtime.starts_with("nodejs") {
            let interpreter = requirements::interpreter(&found.runtime, offered);
            let installed = dependencies::install(&interpreter, &self.path, tree, remark)?;
            return ready(found, archive::write(&installed.tree)?);
        }
        ready(found, archive::write(&tree)?)
    }
}

fn ready(found: recognise::Recognised, zip: Vec<u8>) -> Result<Package, Failure> {
    check_size(&zip, "function")?;
    Ok(Package { runtime: found.runtime, handler: found.handler, zip })
}

/// Refuses what the server would refuse.
fn check_size(zip: &[u8], what: &str) -> Result<(), Failure> {
    let size_bytes = u64::try_from(zip.len()).unwrap_or(u64::MAX);
    let most = limits::ZIP_DIRECT_BYTES_MAX;
    if size_bytes > most {
        return Err(Failure::usage(format!("the package has {size_bytes} bytes, more than {most}"))
            .hint(format!("leave out what the {what} does not need")));
    }
    Ok(())
}

/// A directory as a zip file, or a zip file as it is: for layers, whose contents nobody looks at.
pub(crate) fn zip_of_path(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let unreadable = |error| Failure::usage(format!("cannot read `{shown}`")).because(error);
    let zip = if fs::metadata(path).map_err(unreadable)?.is_dir() {
        archive::write(&Tree::of_directory(path)?)?
    } else {
        fs::read(path).map_err(unreadable)?
    };
    check_size(&zip, "layer")?;
    Ok(zip)
}

/// ELF, or a script that names its interpreter.
fn is_program(path: &Path) -> Result<bool, Failure> {
    let mut start = Vec::with_capacity(4);
    let read = fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.map_err(|error| Failure::local(format!("cannot read `{}`", path.display())).because(error))?;
    Ok(start.starts_with(b"\x7fELF") || start.starts_with(b"#!"))
}

/// Replaces what a function's name cannot have by dashes; at most 64 characters.
fn function_name(text: &str) -> String {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    let name: String = text.chars().map(|character| if is_allowed(character) { character } else { '-' }).collect();
    name.trim_matches('-').chars().take(64).collect()
}

#[cfg(test)]
mod tests;
