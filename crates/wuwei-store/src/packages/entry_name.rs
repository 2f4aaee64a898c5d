//! Names of entries: from what a zip says to a path that stays inside.

use super::PackageError;

/// Longest path of an entry, in bytes; leaves room for the directory that it is put into (the system's limit is 4,096).
const PATH_BYTES_MAX: usize = 1_024;
/// Longest component of a path, in bytes: the limit of Linux file systems.
const COMPONENT_BYTES_MAX: usize = 255;

/// Path below the package's root: components joined by `/`, none of them empty, `.` or `..`; empty for the root.
///
/// A final `/` (a directory) and components `.` are dropped, as `unzip` does.
pub(super) fn normalise(name: &str) -> Result<String, PackageError> {
    let refuse = |why| Err(PackageError::UnsafeEntry(format!("`{}` {why}", name.escape_debug())));
    if name.contains('\0') {
        return refuse("has a NUL in its name");
    }
    if name.starts_with(['/', '\\']) || has_drive(name) {
        return refuse("has an absolute path");
    }
    // A backslash is an ordinary character here, but for the tools that made such names it is a separator.
    if name.split(['/', '\\']).any(|component| component == "..") {
        return refuse("leads out of the package");
    }
    let components: Vec<&str> = name.split('/').filter(|component| !matches!(*component, "" | ".")).collect();
    if components.iter().any(|component| component.len() > COMPONENT_BYTES_MAX) {
        return refuse("has a name that is too long");
    }
    let path = components.join("/");
    if path.len() > PATH_BYTES_MAX {
        return refuse("has a path that is too long");
    }
    Ok(path)
}

fn has_drive(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && characters.next() == Some(':')
        && characters.next().is_some_and(|separator| matches!(separator, '/' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn names_are_normalised_or_refused() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(normalise(name).ok().as_deref(), expected, "{name:?}");
        };
        check("app.py", Some("app.py"));
        check("./a//b/./c/", Some("a/b/c"));
        check("./", Some(""));
        check("a..b/...", Some("a..b/..."));
        check("a\\b", Some("a\\b"));
        check("c:x", Some("c:x"));
        check("日本/é.txt", Some("日本/é.txt"));
        check("/etc/passwd", None);
        check("../x", None);
        check("a/../x", None);
        check("a/..", None);
        check("a\\..\\x", None);
        check("\\\\server\\share", None);
        check("C:\\x", None);
        check("c:/x", None);
        check("a\0b", None);
        check(&"x".repeat(255), Some(&"x".repeat(255)));
        check(&"x".repeat(256), None);
        check(&"a/".repeat(512), Some("a/".repeat(512).trim_end_matches('/')));
        check(&"a/".repeat(513), None);
    }
}
