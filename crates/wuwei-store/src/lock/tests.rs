use super::{DataDirectoryError, DirectoryLock};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_directory_is_made_private_with_its_parents() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b/data");
    let _lock = DirectoryLock::acquire(&directory).unwrap();
    assert_eq!(mode(&directory), 0o700);
}

#[test]
fn a_second_lock_in_this_process_is_refused_and_names_the_pid() {
    let directory = tempfile::tempdir().unwrap();
    let first = DirectoryLock::acquire(directory.path()).unwrap();
    let error = DirectoryLock::acquire(directory.path()).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    DirectoryLock::acquire(directory.path()).unwrap();
}

#[test]
fn an_empty_open_directory_is_tightened_and_a_used_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    drop(DirectoryLock::acquire(directory.path()).unwrap());
    assert_eq!(mode(directory.path()), 0o700);

    let used = tempfile::tempdir().unwrap();
    fs::write(used.path().join("theirs"), "x").unwrap();
    fs::set_permissions(used.path(), Permissions::from_mode(0o1777)).unwrap();
    let error = DirectoryLock::acquire(used.path()).unwrap_err();
    assert!(matches!(error, DataDirectoryError::TooOpen { mode: 0o1777, .. }), "{error}");
    assert_eq!(mode(used.path()), 0o1777);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("file");
    fs::write(&path, "x").unwrap();
    assert!(matches!(DirectoryLock::acquire(&path), Err(DataDirectoryError::NotADirectory { .. })));
}

#[test]
fn a_directory_of_another_user_is_refused() {
    // Root gives a directory away; others find one of root.
    let parent = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    let directory = if root {
        let given = parent.path().join("given");
        fs::create_dir(&given).unwrap();
        std::os::unix::fs::chown(&given, Some(65_534), None).unwrap();
        given
    } else {
        "/proc".into()
    };
    let error = DirectoryLock::acquire(&directory).unwrap_err();
    assert!(matches!(error, DataDirectoryError::OtherOwner { .. }), "{error}");
}

#[test]
fn a_lock_of_another_process_is_respected_until_that_process_is_killed() {
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};

    let directory = tempfile::tempdir().unwrap();
    let hold = r#"exec 9<>"$0"; flock -n 9 && echo $$ >&9 && echo locked && read -r line"#;
    #[expect(clippy::disallowed_methods, reason = "the other server has to be another process")]
    let mut other = Command::new("sh")
        .args(["-c", hold])
        .arg(directory.path().join("lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");

    let error = DirectoryLock::acquire(directory.path()).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", other.id())), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
    DirectoryLock::acquire(directory.path()).unwrap();
}

/// A server's user, as far as these tests go; only root can give something away.
const SERVER: u32 = 2_000_000_001;

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
fn handing_over_changes_what_is_the_servers_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        let directory = tempfile::tempdir().unwrap();
        DirectoryLock::acquire(directory.path()).unwrap().hand_over(SERVER, SERVER).unwrap_err();
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let (directory, outside) = (parent.path().join("data"), parent.path().join("outside"));
    let lock = DirectoryLock::acquire_from(&directory, 0..0).unwrap();
    fs::create_dir_all(directory.join("code/abc")).unwrap();
    for path in ["code/abc/app.py", "wuwei.db", "theirs"] {
        fs::write(directory.join(path), "x").unwrap();
    }
    fs::write(&outside, "x").unwrap();
    std::os::unix::fs::symlink(&outside, directory.join("code/link")).unwrap();
    fs::hard_link(&outside, directory.join("code/hard")).unwrap();
    lock.hand_over(SERVER, SERVER).unwrap();
    for path in ["", "lock", "code", "code/abc", "code/abc/app.py", "wuwei.db", "code/link"] {
        assert_eq!(owner(&directory.join(path)), (SERVER, SERVER), "{path}");
    }
    assert_eq!((owner(&directory.join("theirs")), owner(&outside)), ((0, 0), (0, 0)));
    assert_eq!(mode(&directory), 0o710);

    // A second server is refused, and must not close what the first one's helpers pass through.
    let error = DirectoryLock::acquire_from(&directory, SERVER..SERVER + 1).unwrap_err();
    assert!(matches!(error, DataDirectoryError::Locked { .. }), "{error}");
    assert_eq!(mode(&directory), 0o710);
    drop(lock);
    DirectoryLock::acquire(&directory).unwrap_err();
    let again = DirectoryLock::acquire_from(&directory, SERVER..SERVER + 1).unwrap();
    assert_eq!(again.owner().unwrap(), SERVER);
    again.hand_over(0, 0).unwrap();
    assert_eq!(owner(&directory.join("code/abc/app.py")), (0, 0));
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = tempfile::NamedTempFile::new().unwrap();
    fs::write(victim.path(), "contents").unwrap();
    std::os::unix::fs::symlink(victim.path(), directory.path().join("lock")).unwrap();
    let error = DirectoryLock::acquire(directory.path()).unwrap_err();
    assert!(matches!(error, DataDirectoryError::Io { operation: "open", .. }), "{error}");
    assert_eq!(fs::read_to_string(victim.path()).unwrap(), "contents");
}
