use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use wuwei_model::Runtime;

use super::{OfferedRuntime, PythonInterpreter, Runtimes, SearchPaths, installations, numbers_of};
use crate::runtimes::test_process::{test_interpreter, test_node};

fn identifiers(runtimes: &Runtimes) -> Vec<&str> {
    runtimes.list().iter().map(|offered| offered.identifier().as_str()).collect()
}

fn python<'a>(runtimes: &'a Runtimes, identifier: &str) -> &'a PythonInterpreter {
    match runtimes.get(&Runtime::new(identifier)) {
        Some(OfferedRuntime::Python(interpreter)) => interpreter,
        other => panic!("{identifier}: {other:?}"),
    }
}

fn script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_systems_interpreter_is_found_and_tells_where_it_lives() {
    let interpreter = test_interpreter();
    assert!(interpreter.executable.is_absolute());
    assert!(interpreter.prefix.is_dir());
    assert!(interpreter.standard_library.join("json").is_dir());
    let minor = interpreter.version.rsplit_once('.').unwrap().0;
    assert_eq!(interpreter.identifier.as_str(), format!("python{minor}"));
}

#[test]
fn custom_runtimes_are_always_offered_and_foreign_ones_never() {
    let runtimes = Runtimes::discover_in(&[], &SearchPaths::default());
    assert_eq!(identifiers(&runtimes), ["provided", "provided.al2", "provided.al2023"]);
    assert_eq!(runtimes.found(), "provided, provided.al2, provided.al2023");
    for identifier in ["python3.11", "python3.7", "nodejs22.x", "provided.al2024", ""] {
        assert!(runtimes.get(&Runtime::new(identifier)).is_none(), "{identifier}");
    }
}

#[test]
fn shims_and_programs_that_are_no_python_are_not_interpreters() {
    let directory = tempfile::tempdir().unwrap();
    script(&directory.path().join("python3.8"), "#!/bin/sh\necho lies\n");
    symlink("/bin/true", directory.path().join("python3.9")).unwrap();
    symlink("/bin/cat", directory.path().join("python3.10")).unwrap();
    symlink("/nowhere", directory.path().join("python3.11")).unwrap();
    std::fs::create_dir(directory.path().join("python3.12")).unwrap();
    std::fs::write(directory.path().join("python3.13"), b"\x7fELF").unwrap();
    let runtimes = Runtimes::discover_in(&[directory.path().to_owned()], &SearchPaths::default());
    assert_eq!(identifiers(&runtimes), ["provided", "provided.al2", "provided.al2023"]);
}

#[test]
fn links_are_resolved_and_a_wrong_name_does_not_lie_about_the_version() {
    let interpreter = test_interpreter();
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("versions/9.9.9/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let wrong_name = if interpreter.identifier.as_str() == "python3.8" { "python3.9" } else { "python3.8" };
    symlink(&interpreter.executable, bin.join(wrong_name)).unwrap();
    let paths = SearchPaths { pyenv_root: Some(root.path().to_owned()), ..SearchPaths::default() };
    let runtimes = Runtimes::discover_in(&[], &paths);
    assert_eq!(python(&runtimes, interpreter.identifier.as_str()), interpreter);
    assert!(runtimes.get(&Runtime::new(wrong_name)).is_none());
}

#[test]
fn the_first_directory_wins_for_a_version() {
    let interpreter = test_interpreter();
    let name = interpreter.identifier.as_str();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join(name);
    std::fs::copy(&interpreter.executable, &copy).unwrap();
    let system = interpreter.executable.parent().unwrap().to_owned();
    let check = |directories: Vec<_>, expected: &Path| {
        let runtimes = Runtimes::discover_in(&directories, &SearchPaths::default());
        assert_eq!(python(&runtimes, name).executable, expected);
    };
    check(vec![system.clone(), copies.path().to_owned()], &interpreter.executable);
    check(vec![copies.path().to_owned(), system], &copy);
}

#[test]
fn installations_are_sorted_by_number_newest_first() {
    let root = tempfile::tempdir().unwrap();
    for name in ["3.11.9", "3.11.10", "3.9.18", "pypy3.9"] {
        std::fs::create_dir(root.path().join(name)).unwrap();
    }
    let sorted = installations(root.path(), "bin");
    let names: Vec<_> = sorted.iter().map(|bin| bin.parent().unwrap().file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["3.11.10", "3.11.9", "3.9.18", "pypy3.9"]);
    assert!(installations(Path::new("/nowhere"), "bin").is_empty());
    assert_eq!(numbers_of("cpython-3.12.1-linux-x86_64-gnu"), [3, 12, 1, 86, 64]);
}

#[test]
fn node_is_found_by_name_and_where_version_managers_keep_it() {
    let interpreter = test_node();
    let major = interpreter.version.split('.').next().unwrap();
    assert_eq!(interpreter.identifier.as_str(), format!("nodejs{major}.x"));
    assert!(interpreter.libraries.iter().all(|library| library.is_absolute()), "{:?}", interpreter.libraries);
    for place in ["v20.1.0/bin", "v20.1.0/installation/bin"] {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(place)).unwrap();
        symlink(&interpreter.executable, root.path().join(place).join("node")).unwrap();
        let paths = SearchPaths { node_roots: vec![root.path().to_owned()], ..SearchPaths::default() };
        let runtimes = Runtimes::discover_in(&[], &paths);
        let found = runtimes.get(&interpreter.identifier);
        assert_eq!(found, Some(&OfferedRuntime::Node(interpreter.clone())), "{place}");
    }
}

#[test]
fn a_program_that_only_calls_itself_node_is_none() {
    let directory = tempfile::tempdir().unwrap();
    symlink("/bin/true", directory.path().join("node")).unwrap();
    symlink("/bin/cat", directory.path().join("nodejs")).unwrap();
    let runtimes = Runtimes::discover_in(&[directory.path().to_owned()], &SearchPaths::default());
    assert_eq!(identifiers(&runtimes), ["provided", "provided.al2", "provided.al2023"]);
}

#[test]
fn an_interpreter_below_a_closed_home_is_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let interpreter =
        PythonInterpreter { executable: home.path().join("bin/python3.11"), ..test_interpreter().clone() };
    let open = test_interpreter().clone();
    let offered = vec![OfferedRuntime::Python(interpreter), OfferedRuntime::Python(open.clone())];
    // A temporary directory is open to its owner only.
    let left = Runtimes { offered }.reachable_by_others();
    assert_eq!(left.list(), [OfferedRuntime::Python(open)]);
}
