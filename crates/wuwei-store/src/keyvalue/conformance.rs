//! What every implementation of [`KeyValue`] must do, as functions that take one.

use std::sync::Arc;

use bytes::Bytes;

use super::{Expected, KeyValue, KeyValueError};

fn is_conflict<T>(result: &Result<T, KeyValueError>) -> bool {
    matches!(result, Err(KeyValueError::Conflict { .. }))
}

async fn keys(store: &dyn KeyValue, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    store.list(prefix, after, limit).await.unwrap().into_iter().map(|entry| entry.key).collect()
}

pub(crate) async fn values_are_read_back_with_growing_revisions(store: &dyn KeyValue) {
    assert!(store.get("a/1").await.unwrap().is_none());
    let first = store.put("a/1", Bytes::from_static(b"one"), Expected::Absent).await.unwrap();
    let second = store.put("a/1", Bytes::from_static(b"two"), Expected::Revision(first)).await.unwrap();
    assert!(second > first);
    let entry = store.get("a/1").await.unwrap().unwrap();
    assert_eq!((entry.key.as_str(), &entry.value[..], entry.revision), ("a/1", &b"two"[..], second));
}

pub(crate) async fn the_generation_grows_with_every_change(store: &dyn KeyValue) {
    let before = store.generation();
    let first = store.put("generation", Bytes::from_static(b"1"), Expected::Absent).await.unwrap();
    let written = store.generation();
    store.put("generation", Bytes::from_static(b"2"), Expected::Revision(first)).await.unwrap();
    let rewritten = store.generation();
    store.delete("generation", None).await.unwrap();
    let deleted = store.generation();
    store.get("generation").await.unwrap();
    assert!(before < written && written < rewritten && rewritten < deleted);
    assert_eq!(store.generation(), deleted);
}

pub(crate) async fn a_write_whose_expectation_fails_changes_nothing(store: &dyn KeyValue) {
    let first = store.put("b", Bytes::from_static(b"1"), Expected::Absent).await.unwrap();
    assert!(is_conflict(&store.put("b", Bytes::from_static(b"x"), Expected::Absent).await));
    let second = store.put("b", Bytes::from_static(b"2"), Expected::Revision(first)).await.unwrap();
    assert!(is_conflict(&store.put("b", Bytes::from_static(b"x"), Expected::Revision(first)).await));
    assert!(is_conflict(&store.put("none", Bytes::from_static(b"x"), Expected::Revision(first)).await));
    assert!(is_conflict(&store.delete("b", Some(first)).await));
    assert_eq!(store.get("b").await.unwrap().unwrap().revision, second);
    assert!(store.get("none").await.unwrap().is_none());
}

pub(crate) async fn a_revision_does_not_come_back_after_a_deletion(store: &dyn KeyValue) {
    let first = store.put("c", Bytes::new(), Expected::Absent).await.unwrap();
    assert!(store.delete("c", Some(first)).await.unwrap());
    assert!(!store.delete("c", None).await.unwrap());
    let second = store.put("c", Bytes::new(), Expected::Absent).await.unwrap();
    assert!(second > first);
    assert!(is_conflict(&store.put("c", Bytes::new(), Expected::Revision(first)).await));
}

pub(crate) async fn lists_are_ordered_bounded_and_keep_to_their_prefix(store: &dyn KeyValue) {
    for key in ["l/b", "l/a", "l/c", "l/B", "l0", "l", "m/a"] {
        store.put(key, Bytes::new(), Expected::Absent).await.unwrap();
    }
    assert_eq!(keys(store, "l/", None, 10).await, ["l/B", "l/a", "l/b", "l/c"]);
    assert_eq!(keys(store, "l/", None, 2).await, ["l/B", "l/a"]);
    assert_eq!(keys(store, "l/", Some("l/a"), 10).await, ["l/b", "l/c"]);
    assert_eq!(keys(store, "l/", Some("l/aa"), 1).await, ["l/b"]);
    assert_eq!(keys(store, "l/", Some("z"), 10).await, [""; 0]);
    assert_eq!(keys(store, "l/", Some("a"), 10).await.len(), 4);
    assert_eq!(keys(store, "l/", None, 0).await, [""; 0]);
}

pub(crate) async fn of_concurrent_writers_with_one_expectation_exactly_one_wins(store: Arc<dyn KeyValue>) {
    let mut revision = store.put("race", Bytes::new(), Expected::Absent).await.unwrap();
    for round in 0..20_u8 {
        let writers: Vec<_> = (0..8_u8)
            .map(|writer| {
                let store = Arc::clone(&store);
                let value = Bytes::from(vec![round, writer]);
                tokio::spawn(
                    async move { (value.clone(), store.put("race", value, Expected::Revision(revision)).await) },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            let (value, result) = writer.await.unwrap();
            match result {
                Ok(revision) => winners.push((value, revision)),
                Err(error) => assert!(matches!(error, KeyValueError::Conflict { .. })),
            }
        }
        assert_eq!(winners.len(), 1);
        let entry = store.get("race").await.unwrap().unwrap();
        assert_eq!((entry.value, entry.revision), winners.remove(0));
        revision = entry.revision;
    }
}
