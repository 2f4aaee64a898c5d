use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Store;
use crate::{OpenStoreError, Role, SchemaError};

async fn refused(directory: &Path) -> OpenStoreError {
    match Store::open(directory).await {
        Ok(_) => panic!("the store must not open"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn state_survives_a_reopen_and_the_directory_is_free_when_the_last_handle_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let other = store.clone();
    let key = store.access_keys().create("000000000000", Role::Admin, "*").await.unwrap();
    drop(store);
    let error = refused(directory.path()).await;
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(other);
    let store = Store::open(directory.path()).await.unwrap();
    assert_eq!(store.access_keys().get(&key.id).unwrap().secret, key.secret);
}

#[tokio::test]
async fn a_missing_or_foreign_master_key_is_a_clear_error_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).await.unwrap());
    let file = directory.path().join("master.key");
    let key = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = refused(directory.path()).await;
    assert!(error.to_string().contains("is missing"), "{error}");
    assert!(!file.exists());
    std::fs::write(&file, [1; 32]).unwrap();
    let error = refused(directory.path()).await;
    assert!(error.to_string().contains("is not the key of this database"), "{error}");
    std::fs::write(&file, key).unwrap();
    Store::open(directory.path()).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_is_refused_with_the_versions_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).await.unwrap());
    let database = rusqlite::Connection::open(directory.path().join("wuwei.db")).unwrap();
    database.pragma_update(None, "user_version", 4_000).unwrap();
    drop(database);
    let error = refused(directory.path()).await;
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<SchemaError>().unwrap();
    assert!(matches!(source, SchemaError::Newer { found: 4_000, .. }));
    assert!(source.to_string().contains("4000") && source.to_string().contains("start the wuwei that wrote it"));
}

#[tokio::test]
async fn a_first_start_that_ended_before_the_database_was_made_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    std::fs::write(directory.path().join("master.key"), [3; 32]).unwrap();
    std::fs::write(directory.path().join("wuwei.db"), b"").unwrap();
    Store::open(directory.path()).await.unwrap();
    assert_eq!(std::fs::read(directory.path().join("master.key")).unwrap(), [3; 32]);
}

#[tokio::test]
async fn nothing_in_the_data_directory_is_open_to_others() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let _store = Store::open(&directory).await.unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_package_that_no_function_came_to_name_is_removed_while_the_server_runs() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("app.py", zip::write::SimpleFileOptions::default()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let package = store.packages().admit(zip.into()).await.unwrap();
    let code = store.packages().code_dir(&package.code.digest);
    assert!(code.is_dir());
    drop(package);
    for _ in 0..1_000 {
        if !code.exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the package is still there");
}
