use std::fs;
use std::io::{Cursor, Read as _, Write as _};

use wuwei_model::limits;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::tree::{Content, Tree};
use crate::failure::Failure;

/// A source file that is searched for its handler is not larger.
const SCANNED_BYTES_MAX: u64 = 1024 * 1024;

/// The zip of a tree. The same tree gives the same bytes: entries are in order of name and have a fixed time.
pub(super) fn write(tree: &Tree) -> Result<Vec<u8>, Failure> {
    let cannot = || Failure::local("cannot write the package");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut unpacked_bytes: u64 = 0;
    for (name, entry) in tree.iter() {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(entry.mode);
        let bytes = match &entry.content {
            Content::Link(target) => {
                writer.add_symlink(name, target, options).map_err(|error| cannot().because(error))?;
                continue;
            }
            Content::Bytes(bytes) => bytes.clone(),
            Content::File(path) => fs::read(path)
                .map_err(|error| Failure::local(format!("cannot read `{}`", path.display())).because(error))?,
        };
        unpacked_bytes = unpacked_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if unpacked_bytes > limits::UNPACKED_BYTES_MAX {
            let most = limits::UNPACKED_BYTES_MAX;
            return Err(Failure::usage(format!("the files of the package have more than {most} bytes"))
                .hint("leave out what the function does not need"));
        }
        writer.start_file(name, options).map_err(|error| cannot().because(error))?;
        writer.write_all(&bytes).map_err(|error| cannot().because(error))?;
    }
    let cursor = writer.finish().map_err(|error| cannot().because(error))?;
    Ok(cursor.into_inner())
}

/// What a finished zip has at its top: enough to recognise it. `shown` names it in messages.
pub(super) fn read(zip: &[u8], shown: &str) -> Result<Tree, Failure> {
    let cannot = || Failure::usage(format!("cannot read the zip file `{shown}`"));
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|error| cannot().because(error))?;
    let mut tree = Tree::default();
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| cannot().because(error))?;
        let name = file.name().map_err(|error| cannot().because(error))?.into_owned();
        if name.contains('/') || !file.is_file() {
            continue;
        }
        // A zip without modes was not made on Unix; the server unpacks its files as readable ones.
        let mode = file.unix_mode().unwrap_or(0o644);
        let mut bytes = Vec::new();
        if name.ends_with(".py") {
            file.take(SCANNED_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| cannot().because(error))?;
        }
        tree.insert(name, mode, Content::Bytes(bytes));
    }
    Ok(tree)
}
