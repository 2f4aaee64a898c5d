use std::sync::Arc;

use tokio::sync::Notify;
use wuwei_model::{
    Architecture, CodeDigest, FunctionCode, LayerKey, LayerVersion, Policy, PolicyPrincipal, PolicyStatement, Runtime,
};

use super::Layers;
use crate::StoreError;
use crate::keyvalue::KeyValue;
use crate::schema::MIGRATIONS;
use crate::sqlite::SqliteKeyValue;

fn layers(directory: &std::path::Path) -> Layers {
    let store: Arc<dyn KeyValue> = Arc::new(SqliteKeyValue::open(&directory.join("wuwei.db"), MIGRATIONS).unwrap());
    Layers::new(store, Arc::new(Notify::new()))
}

fn key(name: &str) -> LayerKey {
    LayerKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
}

fn version(package: &[u8]) -> LayerVersion {
    let statement = PolicyStatement {
        id: "s".to_owned(),
        principal: PolicyPrincipal::Everyone,
        action: "lambda:GetLayerVersion".to_owned(),
        source_arn: None,
        source_account: None,
        organization_id: Some("o-1234567890".to_owned()),
        event_source_token: None,
        url_auth_type: None,
        via_url: None,
    };
    LayerVersion {
        code: FunctionCode { digest: CodeDigest::of(package), size_bytes: 7 },
        description: Some("says \"hello\"".to_owned()),
        license: None,
        compatible_runtimes: vec![Runtime::new("python3.11")],
        compatible_architectures: vec![Architecture::Arm64],
        created_ms: 1_795_000_000_123,
        policy: Policy { statements: vec![statement], revision_id: Some("r".to_owned()) },
        imported: false,
    }
}

#[tokio::test]
async fn versions_are_numbered_and_no_number_comes_twice() {
    let directory = tempfile::tempdir().unwrap();
    let layers = layers(directory.path());
    assert_eq!(layers.publish(&key("l"), &version(b"1")).await.unwrap(), 1);
    assert_eq!(layers.publish(&key("l"), &version(b"2")).await.unwrap(), 2);
    assert!(layers.delete_version(&key("l"), 2).await.unwrap());
    assert!(!layers.delete_version(&key("l"), 2).await.unwrap());
    assert!(!layers.delete_version(&key("other"), 1).await.unwrap());
    assert_eq!(layers.publish(&key("l"), &version(b"3")).await.unwrap(), 3);
    let (layer, _) = layers.get(&key("l")).await.unwrap().unwrap();
    assert_eq!(layer.versions.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(layer.versions[&3], version(b"3"));
    let expected = [CodeDigest::of(b"1"), CodeDigest::of(b"3")];
    assert_eq!(layers.referenced_packages().await.unwrap(), expected.into());
    assert_eq!(layers.code_bytes("000000000000", "us-east-1").await.unwrap(), 14);
}

#[tokio::test]
async fn those_who_publish_at_the_same_time_get_numbers_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let layers = Arc::new(layers(directory.path()));
    let mut publishing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let layers = Arc::clone(&layers);
        publishing.spawn(async move { layers.publish(&key("l"), &version(b"x")).await.unwrap() });
    }
    let mut numbers = publishing.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_imported_version_keeps_its_number_and_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let layers = layers(directory.path());
    layers.import(&key("l"), 12, &version(b"a")).await.unwrap();
    layers.import(&key("l"), 12, &version(b"a")).await.unwrap();
    assert!(matches!(layers.import(&key("l"), 12, &version(b"b")).await, Err(StoreError::Exists)));
    layers.import(&key("l"), 3, &version(b"b")).await.unwrap();
    assert_eq!(layers.publish(&key("l"), &version(b"c")).await.unwrap(), 13);
    let names = |layers: Vec<super::Layer>| layers.into_iter().map(|layer| layer.key.name).collect::<Vec<_>>();
    layers.publish(&key("k"), &version(b"d")).await.unwrap();
    assert_eq!(names(layers.list("000000000000", "us-east-1", None, 10).await.unwrap()), ["k", "l"]);
    assert_eq!(names(layers.list("000000000000", "us-east-1", Some("k"), 10).await.unwrap()), ["l"]);
    assert!(layers.list("000000000001", "us-east-1", None, 10).await.unwrap().is_empty());
}
