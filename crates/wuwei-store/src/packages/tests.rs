use std::collections::HashSet;
use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wuwei_model::limits::UNPACKED_BYTES_MAX;
use wuwei_model::{CodeDigest, FunctionCode};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::plan::Plan;
use super::{PackageError, Packages};
use crate::lock::DirectoryLock;

mod hostile;

/// An entry for [`zip_of`]: name, contents, permission bits.
type FileEntry<'a> = (&'a str, &'a [u8], u32);

fn zip_of(files: &[FileEntry<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, contents, mode) in files {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        writer.write_all(contents).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

struct Shop {
    directory: tempfile::TempDir,
    packages: Packages,
}

impl Shop {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let packages = open(directory.path(), HashSet::new()).await;
        Self { directory, packages }
    }

    /// Closes and opens again.
    async fn restart(self, referenced: HashSet<CodeDigest>) -> Self {
        let Self { directory, packages } = self;
        drop(packages);
        let packages = open(directory.path(), referenced).await;
        Self { directory, packages }
    }

    async fn admit(&self, zip: &[u8]) -> FunctionCode {
        self.packages.admit(Bytes::copy_from_slice(zip)).await.unwrap().code
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

async fn open(root: &Path, referenced: HashSet<CodeDigest>) -> Packages {
    let lock = Arc::new(DirectoryLock::acquire(root).unwrap());
    Packages::open(root, lock, referenced.into(), Arc::default()).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_package_is_unpacked_with_sane_permissions_and_kept_as_it_came() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.start_file("app.py", options.unix_permissions(0o600)).unwrap();
    writer.write_all(b"print()").unwrap();
    writer.start_file("bin/bootstrap", options.unix_permissions(0o4700)).unwrap();
    writer.write_all(b"#!/bin/sh").unwrap();
    writer.start_file("open.txt", options.unix_permissions(0o666)).unwrap();
    writer.add_directory("empty/", options.unix_permissions(0o777)).unwrap();
    writer.add_symlink("bin/link", "../app.py", options).unwrap();
    let zip = writer.finish().unwrap().into_inner();

    let shop = Shop::new().await;
    let code = shop.admit(&zip).await;
    assert_eq!(code, FunctionCode { digest: CodeDigest::of(&zip), size_bytes: zip.len() as u64 });
    let root = shop.packages.code_dir(&code.digest);
    assert_eq!(fs::read(root.join("app.py")).unwrap(), b"print()");
    assert_eq!(fs::read(root.join("bin/link")).unwrap(), b"print()");
    for (path, expected) in [
        ("app.py", 0o644),
        ("bin/bootstrap", 0o755),
        ("open.txt", 0o644),
        ("empty", 0o755),
        ("bin", 0o755),
        ("", 0o755),
    ] {
        assert_eq!(mode(&root.join(path)), expected, "{path}");
    }
    assert_eq!(shop.packages.zip(&code.digest).await.unwrap().unwrap(), zip);
    assert_eq!(shop.packages.zip(&CodeDigest::of(b"none")).await.unwrap(), None);
    assert_eq!(shop.names("incoming"), [""; 0]);
}

#[tokio::test]
async fn a_large_package_takes_the_whole_file_system_sync_and_arrives_complete() {
    let names: Vec<_> = (0..300).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_bytes(), 0o644)).collect();
    let shop = Shop::new().await;
    let code = shop.admit(&zip_of(&files)).await;
    let root = shop.packages.code_dir(&code.digest);
    for name in &names {
        assert_eq!(fs::read(root.join(name)).unwrap(), name.as_bytes());
    }
}

#[tokio::test]
async fn a_check_says_the_same_and_writes_nothing() {
    let shop = Shop::new().await;
    let zip = Bytes::from(zip_of(&[("a", b"1", 0o644)]));
    let (checked, bytes) = shop.packages.check(zip.clone()).await.unwrap();
    shop.packages.check(Bytes::from_static(b"no zip")).await.unwrap_err();
    assert_eq!((shop.names("code"), shop.names("packages")), (Vec::new(), Vec::new()));
    assert_eq!(shop.packages.admit(zip).await.unwrap().code, checked);
    assert_eq!((bytes, shop.packages.unpacked_bytes(vec![checked.digest]).await.unwrap()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_package_may_come_many_times_at_once() {
    let shop = Shop::new().await;
    let zip = Bytes::from(zip_of(&[("a/b", &[7; 100_000], 0o644)]));
    let packages = Arc::new(shop.packages);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (packages, zip) = (Arc::clone(&packages), zip.clone());
            tokio::spawn(async move { packages.admit(zip).await.unwrap() })
        })
        .collect();
    for call in calls {
        let code = call.await.unwrap();
        assert_eq!(fs::read(packages.code_dir(&code.code.digest).join("a/b")).unwrap(), [7; 100_000]);
    }
    assert_eq!(fs::read_dir(shop.directory.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_refused_package_leaves_nothing_behind() {
    let shop = Shop::new().await;
    let result = shop.packages.admit(Bytes::from(zip_of(&[("a", b"1", 0o644), ("../b", b"2", 0o644)]))).await;
    assert!(matches!(result, Err(PackageError::UnsafeEntry(_))));
    for directory in ["code", "packages", "incoming"] {
        assert_eq!(shop.names(directory), [""; 0]);
    }
}

#[tokio::test]
async fn a_start_removes_what_nobody_refers_to_and_keeps_the_rest() {
    let shop = Shop::new().await;
    let kept = shop.admit(&zip_of(&[("kept", b"1", 0o644)])).await.digest;
    shop.admit(&zip_of(&[("gone", b"2", 0o644)])).await;
    fs::write(shop.directory.path().join("packages/notes.txt"), "not ours").unwrap();
    let mut shop = shop.restart([kept].into()).await;
    assert_eq!(shop.names("code"), [kept.to_hex()]);
    let mut names = shop.names("packages");
    names.sort();
    assert_eq!(names, [format!("{}.zip", kept.to_hex()), "notes.txt".to_owned()]);

    // A backup need not hold the unpacked form.
    fs::remove_dir_all(shop.packages.code_dir(&kept)).unwrap();
    shop = shop.restart([kept].into()).await;
    assert_eq!(fs::read(shop.packages.code_dir(&kept).join("kept")).unwrap(), b"1");
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_nothing_or_all() {
    let zip = zip_of(&[("a", b"1", 0o644)]);
    let digest = CodeDigest::of(&zip);
    // Steps of an admission, as a killed server leaves them: staging begun, staging full, code in place, zip in place.
    for step in 0..4 {
        let shop = Shop::new().await;
        let root = shop.directory.path();
        let staging = root.join("incoming/0123");
        fs::create_dir_all(staging.join("code")).unwrap();
        if step >= 1 {
            fs::write(staging.join("code/a"), b"1").unwrap();
            fs::write(staging.join("package.zip"), &zip).unwrap();
        }
        if step >= 2 {
            fs::rename(staging.join("code"), shop.packages.code_dir(&digest)).unwrap();
        }
        if step >= 3 {
            let place = root.join(format!("packages/{}.zip", digest.to_hex()));
            fs::rename(staging.join("package.zip"), place).unwrap();
        }
        // The catalog cannot name the package yet: its deployment was not answered.
        let shop = shop.restart(HashSet::new()).await;
        for directory in ["code", "packages", "incoming"] {
            assert_eq!(shop.names(directory), [""; 0], "step {step}, {directory}");
        }
        let code = shop.admit(&zip).await;
        assert_eq!(fs::read(shop.packages.code_dir(&code.digest).join("a")).unwrap(), b"1");
    }
}

#[tokio::test]
async fn a_half_admitted_package_is_completed_by_the_next_call() {
    let zip = zip_of(&[("a", b"1", 0o644)]);
    let shop = Shop::new().await;
    let digest = shop.admit(&zip).await.digest;
    fs::remove_file(shop.directory.path().join(format!("packages/{}.zip", digest.to_hex()))).unwrap();
    shop.admit(&zip).await;
    assert_eq!(shop.packages.zip(&digest).await.unwrap().unwrap(), zip);
    fs::remove_dir_all(shop.packages.code_dir(&digest)).unwrap();
    shop.admit(&zip).await;
    assert!(shop.packages.code_dir(&digest).join("a").is_file());
}

/// What a collection removes of a package to which nothing refers, when `meanwhile` happens after it was found.
async fn is_collected(shop: &Shop, digest: CodeDigest, meanwhile: impl AsyncFnOnce()) -> bool {
    shop.packages.begin_collection();
    let garbage = shop.packages.not_among(HashSet::new()).await.unwrap();
    assert_eq!(garbage, [digest]);
    meanwhile().await;
    shop.packages.end_collection(garbage).await.unwrap();
    assert_eq!(shop.names("incoming"), [""; 0]);
    assert_eq!(shop.names("code").is_empty(), shop.names("packages").is_empty());
    shop.names("code").is_empty()
}

#[tokio::test]
async fn what_nobody_refers_to_or_uses_is_collected() {
    let shop = Shop::new().await;
    let zip = zip_of(&[("a", b"1", 0o644)]);
    let digest = shop.admit(&zip).await.digest;
    let package_use = shop.packages.begin_use(&digest);
    assert!(!is_collected(&shop, digest, async || {}).await, "in use before and after");
    let other_use = shop.packages.begin_use(&digest);
    assert!(!is_collected(&shop, digest, async || drop(package_use)).await, "still in use");
    assert!(!is_collected(&shop, digest, async || drop(other_use)).await, "in use when the collection began");
    assert!(!is_collected(&shop, digest, async || drop(shop.packages.begin_use(&digest))).await, "used for a moment");
    let admit_again = async || assert_eq!(shop.admit(&zip).await.digest, digest);
    assert!(!is_collected(&shop, digest, admit_again).await, "a function may name it now");
    assert!(is_collected(&shop, digest, async || {}).await);
    shop.admit(&zip).await;
    assert_eq!(fs::read(shop.packages.code_dir(&digest).join("a")).unwrap(), b"1");
    shop.packages.begin_collection();
    let garbage = shop.packages.not_among([digest].into()).await.unwrap();
    assert_eq!(garbage, [], "it is referred to");
}
