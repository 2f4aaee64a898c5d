use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wuwei_model::Runtime;

use super::python_layout;
use super::test_process::test_interpreter;
use crate::discovery::{PythonInterpreter, Runtimes, SearchPaths};
use crate::instance::LaunchError;

#[test]
fn a_python_runtime_shows_its_interpreter_and_the_bootstrap() {
    let layout = python_layout(&PythonInterpreter {
        identifier: Runtime::new("python3.12"),
        executable: "/home/a/.pyenv/versions/3.12.1/bin/python3.12".into(),
        prefix: "/home/a/.pyenv/versions/3.12.1".into(),
        version: "3.12.1".to_owned(),
        standard_library: "/home/a/.pyenv/versions/3.12.1/lib/python3.12".into(),
        multiarch: None,
    });
    assert_eq!(layout.visible_paths, [PathBuf::from("/home/a/.pyenv/versions/3.12.1")]);
    assert_eq!(layout.executable, Path::new("/home/a/.pyenv/versions/3.12.1/bin/python3.12"));
    assert_eq!(layout.arguments, ["-I", "-S", "-B", "-X", "utf8", "/var/runtime/bootstrap.py"]);
    assert_eq!(layout.path_env, "/home/a/.pyenv/versions/3.12.1/bin:/usr/local/bin:/usr/bin:/bin");
    assert!(!layout.needs_runtime_api);
}

#[test]
fn the_systems_interpreter_adds_nothing_to_the_path() {
    let layout = python_layout(test_interpreter());
    assert_eq!(layout.path_env, "/usr/local/bin:/usr/bin:/bin");
    assert!(layout.visible_paths.iter().all(|path| path.is_dir()));
}

#[test]
fn a_custom_runtime_needs_an_executable_file_named_bootstrap() {
    let runtimes = Runtimes::discover(&SearchPaths::default());
    let package = tempfile::tempdir().unwrap();
    let bootstrap = package.path().join("bootstrap");
    let layout = |path: &Path| runtimes.layout(&Runtime::new("provided.al2023"), path);
    assert!(matches!(layout(package.path()), Err(LaunchError::NoBootstrap)));
    std::fs::write(&bootstrap, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(layout(package.path()), Err(LaunchError::NoBootstrap)));
    std::fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755)).unwrap();
    let layout_of_package = layout(package.path()).unwrap();
    assert_eq!(layout_of_package.executable, Path::new("/var/task/bootstrap"));
    assert!(layout_of_package.needs_runtime_api);
    std::fs::remove_file(&bootstrap).unwrap();
    std::os::unix::fs::symlink("/bin/sh", &bootstrap).unwrap();
    assert!(matches!(layout(package.path()), Err(LaunchError::NoBootstrap)));
}

#[test]
fn an_unknown_runtime_is_an_error_that_says_what_there_is() {
    let runtimes = Runtimes::discover(&SearchPaths::default());
    let error = runtimes.layout(&Runtime::new("ruby3.3"), Path::new("/")).unwrap_err().to_string();
    assert!(error.starts_with("runtime `ruby3.3` is not on this host (found: python3."), "{error}");
    assert!(error.ends_with("provided, provided.al2, provided.al2023)"), "{error}");
}
