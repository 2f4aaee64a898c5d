use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use zip::ZipArchive;

use super::{Package, Source, Wishes, function_name};
use crate::commands::runtimes::OfferedRuntime;
use crate::failure::{Exit, Failure};

/// A process that another test forks would hold a script open that is being written, and nobody could run it: tests that
/// write scripts and run them take turns.
pub(super) fn one_program_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn offered() -> Vec<OfferedRuntime> {
    ["python3.9", "python3.11", "python3.10", "nodejs20.x", "nodejs24.x", "provided.al2023"]
        .map(|identifier| OfferedRuntime { identifier: identifier.to_owned(), path: None, version: None })
        .to_vec()
}

fn directory(files: &[(&str, &str, u32)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    directory
}

fn package(path: &Path) -> Result<Package, Failure> {
    Source::open(path)?.package(&Wishes::default(), &offered(), &|_| {})
}

fn names(package: &Package) -> Vec<String> {
    ZipArchive::new(Cursor::new(&package.zip)).unwrap().file_names().map(|name| name.unwrap().into_owned()).collect()
}

const HANDLER: &str = "import json\ndef handler(event, context):\n    return event\n";

#[test]
fn runtime_and_handler_are_recognised() {
    let check = |files: &[(&str, &str, u32)], runtime: &str, handler: &str| {
        let directory = directory(files);
        let package = package(directory.path()).unwrap();
        assert_eq!((package.runtime.as_str(), package.handler.as_str()), (runtime, handler), "{files:?}");
    };
    check(&[("app.py", HANDLER, 0o644)], "python3.11", "app.handler");
    check(
        &[("lambda_function.py", "def lambda_handler(e, c): pass", 0o644)],
        "python3.11",
        "lambda_function.lambda_handler",
    );
    check(&[("main.py", HANDLER, 0o644), ("other.py", HANDLER, 0o644)], "python3.11", "main.handler");
    check(&[("main.py", HANDLER, 0o644), ("page.js", "export const handler = 1", 0o644)], "python3.11", "main.handler");
    check(&[("anything.py", HANDLER, 0o644)], "python3.11", "anything.handler");
    check(
        &[("app.py", "x = 1", 0o644), ("index.py", "def  handler (e, c): pass", 0o644)],
        "python3.11",
        "index.handler",
    );
    check(&[("bootstrap", "#!/bin/sh\n", 0o755), ("tool.py", HANDLER, 0o644)], "provided.al2023", "bootstrap");
}

#[test]
fn functions_in_node_are_recognised() {
    let check = |files: &[(&str, &str)], handler: &str| {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, *text, 0o644)).collect();
        let directory = directory(&files);
        let package = package(directory.path()).unwrap();
        assert_eq!((package.runtime.as_str(), package.handler.as_str()), ("nodejs24.x", handler), "{files:?}");
    };
    let module = "export const handler = async () => 1";
    check(&[("index.mjs", module)], "index.handler");
    check(&[("index.js", "exports.handler = 1"), ("package.json", "{}"), ("tool.py", HANDLER)], "index.handler");
    check(&[("package.json", "{}"), ("app.cjs", "module.exports = { handler }")], "app.handler");
    check(&[("package.json", r#"{"main": "./src/api.js"}"#), ("src/api.js", module)], "src/api.handler");
    check(&[("package.json", r#"{"main": "index.js"}"#), ("main.mjs", module)], "main.handler");
    check(&[("anything.mjs", module), ("eslint.config.js", "export default []")], "anything.handler");
    check(&[("index.mjs", "export function handlers() {}"), ("app.mjs", module)], "app.handler");
    let without = [("index.mjs", module, 0o644)];
    let directory = directory(&without);
    let failure = Source::open(directory.path()).unwrap().package(&Wishes::default(), &[], &|_| {}).unwrap_err();
    assert!(failure.text().contains("no Node.js"), "{failure:?}");
}

#[test]
fn what_cannot_be_recognised_says_what_to_do() {
    let check = |files: &[(&str, &str, u32)], hint: &str| {
        let directory = directory(files);
        let failure = package(directory.path()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.hint_text().unwrap().contains(hint), "{files:?}: {failure:?}");
    };
    check(&[("README.md", "", 0o644)], "app.py");
    check(&[("package.json", "{}", 0o644)], "index.mjs");
    check(&[("index.ts", "export const handler = 1", 0o644), ("package.json", "{}", 0o644)], "compile it first");
    check(&[("src/index.ts", "", 0o644)], "compile it first");
    check(&[("index.js", "const handler = 1", 0o644)], "--handler");
    check(&[("bootstrap", "#!/bin/sh\n", 0o644)], "chmod +x");
    check(&[("app.py", "class A:\n    def handler(self): pass\ndef handlers(): pass", 0o644)], "--handler");
    check(&[("app.py", HANDLER, 0o644), ("wuwei.toml", "handlr = \"x\"", 0o644)], "`handler`");
}

#[test]
fn wishes_win_over_what_is_recognised() {
    let directory = directory(&[("app.py", HANDLER, 0o644)]);
    let wishes = Wishes { runtime: Some("python3.9".to_owned()), handler: Some("a.b".to_owned()) };
    let package = Source::open(directory.path()).unwrap().package(&wishes, &offered(), &|_| {}).unwrap();
    assert_eq!((package.runtime.as_str(), package.handler.as_str()), ("python3.9", "a.b"));
}

#[test]
fn a_server_without_python_is_named_as_the_reason() {
    let directory = directory(&[("app.py", HANDLER, 0o644)]);
    let failure = Source::open(directory.path()).unwrap().package(&Wishes::default(), &[], &|_| {}).unwrap_err();
    assert!(failure.text().contains("no Python"), "{failure:?}");
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let files = [("app.py", HANDLER, 0o644), ("lib/b.txt", "b", 0o600), ("a.bin", "a", 0o755)];
    let mut reversed = files;
    reversed.reverse();
    let (first, second) = (directory(&files), directory(&reversed));
    assert_eq!(package(first.path()).unwrap().zip, package(second.path()).unwrap().zip);
}

#[test]
fn modes_and_inner_links_are_kept() {
    let directory = directory(&[("bootstrap", "#!/bin/sh\n", 0o750), ("lib/tool", "x", 0o644)]);
    symlink("lib/tool", directory.path().join("link")).unwrap();
    symlink("../bootstrap", directory.path().join("lib/up")).unwrap();
    let package = package(directory.path()).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(&package.zip)).unwrap();
    let mode = |archive: &mut ZipArchive<_>, name: &str| archive.by_name(name).unwrap().unix_mode().unwrap();
    assert_eq!(mode(&mut archive, "bootstrap") & 0o777, 0o750);
    assert_eq!(mode(&mut archive, "lib/tool") & 0o777, 0o644);
    assert!(archive.by_name("link").unwrap().is_symlink());
    assert!(archive.by_name("lib/up").unwrap().is_symlink());
}

#[test]
fn links_out_of_the_package_are_refused() {
    for target in ["/etc/passwd", "../x", "lib/../../x"] {
        let directory = directory(&[("app.py", HANDLER, 0o644)]);
        symlink(target, directory.path().join("link")).unwrap();
        assert!(package(directory.path()).unwrap_err().text().contains("leads out"), "{target}");
    }
}

#[test]
fn what_no_function_needs_is_left_out() {
    let directory = directory(&[
        ("app.py", HANDLER, 0o644),
        (".git/config", "", 0o644),
        ("lib/__pycache__/a.pyc", "", 0o644),
        (".venv/bin/python", "", 0o755),
        ("node_modules/.bin/tool", "", 0o755),
        ("node_modules/left/index.js", "", 0o644),
        ("wuwei.toml", "name = \"x\"", 0o644),
        ("lib/wuwei.toml", "", 0o644),
    ]);
    let package = package(directory.path()).unwrap();
    assert_eq!(names(&package), ["app.py", "lib/wuwei.toml", "node_modules/left/index.js"]);
}

#[test]
fn single_files_become_packages() {
    let directory = directory(&[
        ("tool", "#!/bin/sh\n", 0o755),
        ("plain", "#!/bin/sh\n", 0o644),
        ("one.py", HANDLER, 0o644),
        ("note.txt", "hello", 0o755),
    ]);
    let native = package(&directory.path().join("tool")).unwrap();
    assert_eq!((names(&native), native.runtime.as_str()), (vec!["bootstrap".to_owned()], "provided.al2023"));
    let python = package(&directory.path().join("one.py")).unwrap();
    assert_eq!((names(&python), python.handler.as_str()), (vec!["one.py".to_owned()], "one.handler"));
    fs::write(directory.path().join("two.mjs"), "export const handler = 1").unwrap();
    let node = package(&directory.path().join("two.mjs")).unwrap();
    assert_eq!((names(&node), node.handler.as_str()), (vec!["two.mjs".to_owned()], "two.handler"));
    assert!(package(&directory.path().join("plain")).unwrap_err().text().contains("not executable"));
    package(&directory.path().join("note.txt")).unwrap_err();
    package(&directory.path().join("missing")).unwrap_err();
}

#[test]
fn a_finished_zip_is_recognised_and_sent_as_it_is() {
    let directory = directory(&[("app.py", HANDLER, 0o644)]);
    let zip = package(directory.path()).unwrap().zip;
    let path = directory.path().join("done.zip");
    fs::File::create(&path).unwrap().write_all(&zip).unwrap();
    let again = package(&path).unwrap();
    assert_eq!((again.zip, again.handler.as_str()), (zip, "app.handler"));
    fs::write(&path, "no zip").unwrap();
    assert!(package(&path).unwrap_err().text().contains("done.zip"));
}

#[test]
fn the_package_is_measured_before_it_is_sent() {
    let directory = directory(&[("app.py", HANDLER, 0o644)]);
    let file = fs::File::create(directory.path().join("big")).unwrap();
    // Sparse: 250 MB that are on no disk.
    file.set_len(wuwei_model::limits::UNPACKED_BYTES_MAX).unwrap();
    assert!(package(directory.path()).unwrap_err().text().contains("262144000"));
}

#[test]
fn names_of_directories_become_names_of_functions() {
    let check = |text: &str, expected: &str| assert_eq!(function_name(text), expected);
    check("text-json", "text-json");
    check("my app.v2", "my-app-v2");
    check(".hidden", "hidden");
    check("ünï", "n");
    check(&"x".repeat(80), &"x".repeat(64));
}
