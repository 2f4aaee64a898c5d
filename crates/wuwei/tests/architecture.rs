//! Rules that hold for the whole tree: which crate may know which, and how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// No source file is longer, in lines; files of tests alone are not counted.
const FILE_LINES_MAX: usize = 600;
/// `main.rs` is a table of contents of the program, in lines.
const MAIN_LINES_MAX: usize = 100;

/// What each crate may use of the workspace: arrows only point downwards.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "wuwei",
        &[
            "wuwei-engine",
            "wuwei-gateway",
            "wuwei-model",
            "wuwei-queue",
            "wuwei-recorder",
            "wuwei-sandbox",
            "wuwei-sources",
            "wuwei-store",
        ],
    ),
    ("wuwei-gateway", &["wuwei-engine", "wuwei-model", "wuwei-queue", "wuwei-recorder", "wuwei-store"]),
    ("wuwei-sources", &["wuwei-engine", "wuwei-model", "wuwei-store"]),
    ("wuwei-engine", &["wuwei-model", "wuwei-queue", "wuwei-recorder", "wuwei-sandbox", "wuwei-store"]),
    ("wuwei-recorder", &["wuwei-model", "wuwei-store"]),
    ("wuwei-sandbox", &["wuwei-model"]),
    ("wuwei-store", &["wuwei-model"]),
    ("wuwei-queue", &["wuwei-model"]),
    ("wuwei-model", &[]),
];

fn workspace_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the workspace")
}

/// Workspace crates and the workspace crates that they use outside of their tests.
fn used_crates() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let names: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let used = |package: &cargo_metadata::Package| {
        let dependencies =
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        dependencies.map(|dependency| dependency.name.clone()).filter(|name| names.contains(name)).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), used(package))).collect()
}

#[test]
fn crates_only_use_the_crates_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let crates = used_crates();
    assert!(crates.len() >= 7, "found only {:?}", crates.keys());
    for (name, used) in crates {
        let below = allowed.get(name.as_str()).unwrap_or_else(|| panic!("`{name}` has no place in the architecture"));
        for other in used {
            assert!(below.contains(&other.as_str()), "`{name}` must not use `{other}`");
        }
    }
}

#[test]
fn arrows_have_no_cycle() {
    // Each crate stands above all that it may use, so an order exists.
    for (position, (name, below)) in ARROWS.iter().enumerate() {
        let later: BTreeSet<&str> = ARROWS[position + 1..].iter().map(|(name, _)| *name).collect();
        assert!(below.iter().all(|other| later.contains(other)), "`{name}` points upwards");
    }
}

/// Rust files below a directory that are not only tests.
fn source_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(directory).expect("readable directory") {
        let path = item.expect("readable entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "tests" && name != "target" {
                source_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let mut files = Vec::new();
    source_files(&workspace_root().join("crates"), &mut files);
    assert!(files.len() >= 20, "found only {files:?}");
    let mut too_long = Vec::new();
    for path in files {
        let lines = fs::read_to_string(&path).expect("UTF-8 source").lines().count();
        let most = if path.ends_with("wuwei/src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        if lines > most {
            too_long.push(format!("{}: {lines} lines, at most {most}", path.display()));
        }
    }
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

#[test]
fn modules_with_parts_have_a_file_of_their_own_name() {
    let mut files = Vec::new();
    source_files(&workspace_root().join("crates"), &mut files);
    let wrong: Vec<&PathBuf> = files.iter().filter(|path| path.ends_with("mod.rs")).collect();
    assert!(wrong.is_empty(), "`foo.rs` beside `foo/`, not {wrong:?}");
}
