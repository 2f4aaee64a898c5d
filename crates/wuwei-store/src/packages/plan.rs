//! The check of a package: everything is read and inflated once, nothing is written.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use wuwei_model::limits::UNPACKED_BYTES_MAX;
use zip::ZipArchive;
use zip::read::ZipFile;

use super::PackageError;
use super::{entry_name, links};

/// Files, links and directories (those that are only implied too) of a package.
const ENTRIES_MAX: usize = 100_000;
/// Starts each entry of a zip's directory.
const ENTRY_SIGNATURE: &[u8] = b"PK\x01\x02";
/// Signatures above which the directory is not even read. More than [`ENTRIES_MAX`], because stored archives inside
/// the package hold some of their own.
const SIGNATURES_MAX: usize = 4 * ENTRIES_MAX;
/// Longest target of a symbolic link, in bytes.
const LINK_TARGET_BYTES_MAX: u64 = 4_095;

/// Bytes of the targets of all links together: they are held in memory, and compress well.
const LINK_TARGETS_BYTES_MAX: usize = 8 * 1024 * 1024;

const FILE_TYPE_MASK: u32 = 0o170_000;
const FILE_TYPE_REGULAR: u32 = 0o100_000;
const FILE_TYPE_DIRECTORY: u32 = 0o040_000;
const FILE_TYPE_LINK: u32 = 0o120_000;
const EXECUTABLE_BITS: u32 = 0o111;

/// What a checked package unpacks to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Path below the root to what is there; parents come before their children.
    pub(super) nodes: BTreeMap<String, Node>,
    /// Of all files, and of the targets of links.
    pub(super) unpacked_bytes: u64,
}

/// One thing of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Named by an entry, or implied by one below it.
    Directory,
    /// Contents of the entry at `index`.
    File {
        /// Position in the archive.
        index: usize,
        /// Whether anyone may execute it.
        executable: bool,
    },
    /// A symbolic link that stays inside.
    Link {
        /// As it is written into the link.
        target: String,
    },
}

impl Plan {
    /// Checks a zip. Blocks for as long as inflating up to the limit takes.
    pub(super) fn of(zip: &[u8]) -> Result<Self, PackageError> {
        if memchr::memmem::find_iter(zip, ENTRY_SIGNATURE).count() > SIGNATURES_MAX {
            return Err(PackageError::TooManyEntries(ENTRIES_MAX));
        }
        let Ok(mut archive) = ZipArchive::new(Cursor::new(zip)) else { return Err(PackageError::NotAZip) };
        if archive.len() > ENTRIES_MAX {
            return Err(PackageError::TooManyEntries(ENTRIES_MAX));
        }
        if archive.has_duplicate_names() {
            return Err(PackageError::ClashingEntries("a name appears twice".to_owned()));
        }
        match archive.has_overlapping_entries() {
            Ok(false) => {}
            Ok(true) => return Err(PackageError::OverlappingEntries),
            Err(_) => return Err(PackageError::NotAZip),
        }
        let mut plan = Self { nodes: BTreeMap::new(), unpacked_bytes: 0 };
        let mut bytes_left = UNPACKED_BYTES_MAX;
        let mut link_bytes_left = LINK_TARGETS_BYTES_MAX;
        for index in 0..archive.len() {
            let path = plan.add(&mut archive, index, &mut bytes_left)?;
            if let Some(Node::Link { target }) = plan.nodes.get(&path) {
                let left = link_bytes_left.checked_sub(target.len());
                link_bytes_left = left.ok_or_else(|| unsafe_entry(&path, "is one of too many long links"))?;
            }
        }
        plan.unpacked_bytes = UNPACKED_BYTES_MAX - bytes_left;
        plan.add_parents()?;
        if plan.nodes.is_empty() {
            return Err(PackageError::Empty);
        }
        links::check(&plan.links())?;
        Ok(plan)
    }

    /// Adds one entry; gives its path.
    fn add(
        &mut self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        bytes_left: &mut u64,
    ) -> Result<String, PackageError> {
        let metadata = archive.by_index_data(index).map_err(|error| damaged("?", error.into()))?;
        let name = metadata.name().map_err(|error| damaged("?", error.into()))?.into_owned();
        let path = entry_name::normalise(&name)?;
        if metadata.encrypted() {
            return Err(PackageError::EncryptedEntry(name));
        }
        let mode = metadata.unix_mode().unwrap_or(0);
        let is_directory = name.ends_with('/');
        let mut file = archive.by_index(index).map_err(|error| damaged(&name, error.into()))?;
        let node = match mode & FILE_TYPE_MASK {
            FILE_TYPE_LINK if !is_directory => {
                Node::Link { target: link_target(&name, inflate(&name, &mut file, bytes_left, true)?)? }
            }
            FILE_TYPE_DIRECTORY | FILE_TYPE_REGULAR | 0 if is_directory => directory(&name, &mut file, bytes_left)?,
            FILE_TYPE_DIRECTORY => directory(&name, &mut file, bytes_left)?,
            FILE_TYPE_REGULAR | 0 => {
                inflate(&name, &mut file, bytes_left, false)?;
                Node::File { index, executable: mode & EXECUTABLE_BITS != 0 }
            }
            _ => return Err(unsafe_entry(&name, "is a device, a pipe or a socket")),
        };
        if path.is_empty() {
            // The root itself, which some tools put in as `./`.
            return if node == Node::Directory { Ok(path) } else { Err(unsafe_entry(&name, "has no name")) };
        }
        match self.nodes.insert(path.clone(), node) {
            None => Ok(path),
            Some(_) => Err(PackageError::ClashingEntries(format!("`{}` appears twice", name.escape_debug()))),
        }
    }

    /// Adds the directories that are only implied; whatever has something below it must be a directory.
    fn add_parents(&mut self) -> Result<(), PackageError> {
        let paths: Vec<String> = self.nodes.keys().cloned().collect();
        for path in paths {
            let mut path = path.as_str();
            while let Some((parent, _)) = path.rsplit_once('/') {
                match self.nodes.get(parent) {
                    // Its own parents are there, or will be when its turn comes.
                    Some(Node::Directory) => break,
                    Some(Node::File { .. } | Node::Link { .. }) => {
                        let (parent, path) = (parent.escape_debug(), path.escape_debug());
                        let clash = format!("`{parent}` is no directory, but `{path}` is in it");
                        return Err(PackageError::ClashingEntries(clash));
                    }
                    None => {
                        self.nodes.insert(parent.to_owned(), Node::Directory);
                    }
                }
                if self.nodes.len() > ENTRIES_MAX {
                    return Err(PackageError::TooManyEntries(ENTRIES_MAX));
                }
                path = parent;
            }
        }
        Ok(())
    }

    fn links(&self) -> BTreeMap<String, String> {
        let link = |(path, node): (&String, &Node)| match node {
            Node::Link { target } => Some((path.clone(), target.clone())),
            Node::Directory | Node::File { .. } => None,
        };
        self.nodes.iter().filter_map(link).collect()
    }
}

fn directory(name: &str, file: &mut ZipFile<'_, Cursor<&[u8]>>, bytes_left: &mut u64) -> Result<Node, PackageError> {
    inflate(name, file, bytes_left, false)?;
    Ok(Node::Directory)
}

/// Reads an entry to its end, which checks its checksum, and takes what came out from `bytes_left`: what headers say
/// about sizes counts for nothing. Returns the contents only when asked to.
fn inflate(
    name: &str,
    file: &mut ZipFile<'_, Cursor<&[u8]>>,
    bytes_left: &mut u64,
    is_link: bool,
) -> Result<Vec<u8>, PackageError> {
    let mut contents = Vec::new();
    let mut bounded = file.take(*bytes_left + 1);
    let result = if is_link {
        (&mut bounded).take(LINK_TARGET_BYTES_MAX + 1).read_to_end(&mut contents).and_then(|target_bytes| {
            // The rest, if there is any, only for its size and checksum.
            Ok(u64::try_from(target_bytes).expect("lengths fit 64 bits") + io::copy(&mut bounded, &mut io::sink())?)
        })
    } else {
        io::copy(&mut bounded, &mut io::sink())
    };
    let bytes = result.map_err(|source| damaged(name, source))?;
    *bytes_left = bytes_left.checked_sub(bytes).ok_or(PackageError::UnpackedTooLarge(UNPACKED_BYTES_MAX))?;
    Ok(contents)
}

fn link_target(name: &str, target: Vec<u8>) -> Result<String, PackageError> {
    if target.len() > usize::try_from(LINK_TARGET_BYTES_MAX).expect("the limit is small") {
        return Err(unsafe_entry(name, "is a link with too long a target"));
    }
    match String::from_utf8(target) {
        Ok(target) if !target.is_empty() && !target.contains('\0') => Ok(target),
        Ok(_) | Err(_) => Err(unsafe_entry(name, "is a link with no usable target")),
    }
}

fn unsafe_entry(name: &str, why: &str) -> PackageError {
    PackageError::UnsafeEntry(format!("`{}` {why}", name.escape_debug()))
}

fn damaged(name: &str, source: io::Error) -> PackageError {
    PackageError::DamagedEntry { name: name.to_owned(), source }
}
