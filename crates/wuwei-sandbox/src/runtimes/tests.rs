use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wuwei_model::Runtime;

use super::test_process::{spec, test_interpreter};
use super::{node, python_layout};
use crate::discovery::{NodeInterpreter, PythonInterpreter, Runtimes, SearchPaths};
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
    assert_eq!(layout.arguments, ["-s", "-S", "/var/runtime/bootstrap.py"]);
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
    let layout = |path: &Path| runtimes.layout(&spec("provided.al2023", path));
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
    let error = runtimes.layout(&spec("ruby3.3", Path::new("/"))).unwrap_err().to_string();
    assert!(error.starts_with("runtime `ruby3.3` is not on this host (found: python3."), "{error}");
    assert!(error.ends_with("provided, provided.al2, provided.al2023)"), "{error}");
}

#[test]
fn a_node_runtime_shows_its_executable_and_no_more_of_where_it_lies() {
    let interpreter = NodeInterpreter {
        identifier: Runtime::new("nodejs22.x"),
        executable: "/home/a/bin/node".into(),
        version: "22.1.0".to_owned(),
        libraries: vec!["/home/a/lib/libnode.so.127".into(), "/lib/x86_64-linux-gnu/libc.so.6".into()],
    };
    let layout = node::layout(&interpreter, 128, &[]);
    assert_eq!(layout.visible_paths, [PathBuf::from("/home/a/bin/node"), "/home/a/lib/libnode.so.127".into()]);
    assert_eq!(layout.path_env, "/home/a/bin:/usr/local/bin:/usr/bin:/bin");
    assert_eq!(layout.arguments.last().unwrap(), "/var/runtime/nodejs/bootstrap.cjs");
    assert!(!layout.needs_runtime_api);
    let shown = |executable: &str| {
        let interpreter =
            NodeInterpreter { executable: executable.into(), libraries: Vec::new(), ..interpreter.clone() };
        node::layout(&interpreter, 128, &[]).visible_paths
    };
    assert_eq!(shown("/usr/bin/node"), [] as [PathBuf; 0]);
    assert_eq!(shown("/usr/local/bin/node"), [PathBuf::from("/usr/local/bin/node")]);
}

#[test]
fn the_heap_of_node_follows_the_memory_setting_unless_the_function_says_otherwise() {
    let check = |options: &str, memory_mb: u32, expected: &[&str]| {
        let environment = [("NODE_OPTIONS".to_owned(), options.to_owned())];
        assert_eq!(node::arguments(Path::new("/b.cjs"), memory_mb, &environment), expected, "{options}");
    };
    let rest = ["--expose-gc", "--max-http-header-size=81920"];
    check("", 128, &[&rest[..], &["--max-semi-space-size=6", "--max-old-space-size=115", "/b.cjs"]].concat());
    check(
        "--trace-warnings",
        1024,
        &[&rest[..], &["--max-semi-space-size=51", "--max-old-space-size=921", "/b.cjs"]].concat(),
    );
    check("--max_old_space_size=50", 128, &[&rest[..], &["--max-semi-space-size=6", "/b.cjs"]].concat());
}
