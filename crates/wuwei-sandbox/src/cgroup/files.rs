use std::fs;
use std::io;
use std::path::Path;

/// Writes a value to a control file (which must exist: control files are never created).
pub(super) fn write(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut control = fs::OpenOptions::new().write(true).open(directory.join(file))?;
    control.write_all(value.as_bytes())
}

/// Writes a value to a control file that not every kernel has.
pub(super) fn write_if_present(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    match write(directory, file, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Value of `key` in a flat keyed control file such as `memory.events`.
pub(super) fn keyed_value(directory: &Path, file: &str, key: &str) -> Option<u64> {
    value_of(&fs::read_to_string(directory.join(file)).ok()?, key)
}

/// Value of `key` in the text of a flat keyed file.
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Removes a control group and the empty ones below it; what is busy stays.
pub(super) fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn keyed_files_are_read_by_whole_key() {
        let text = "oom 3\noom_kill 2\nmax 9\n";
        assert_eq!(value_of(text, "oom_kill"), Some(2));
        assert_eq!(value_of(text, "oom"), Some(3));
        assert_eq!(value_of(text, "low"), None);
    }
}
