//! Removes packages that no function refers to any more, while the server runs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use wuwei_model::CodeDigest;

use super::Parts;
use crate::StoreError;

/// Time between finding a package without references and removing it: a call that has read the function before the last
/// reference went has long begun to use the package then. Also keeps collections apart.
const GRACE: Duration = Duration::from_secs(1);
/// Time before entries that could not be removed are tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until the store is gone. `freed` tells that there may be something to collect.
pub(super) async fn run(parts: Weak<Parts>, freed: Arc<Notify>) {
    loop {
        wait(&parts, &freed).await;
        // Whatever else is freed at the same time is found with it.
        tokio::time::sleep(GRACE).await;
        let Some(store) = parts.upgrade() else { return };
        store.functions.sweep_again().await;
        let garbage = find(&store).await;
        drop(store);
        if !garbage.is_empty() {
            tracing::debug!(packages = garbage.len(), "remove packages that no function refers to");
            tokio::time::sleep(GRACE).await;
        }
        let Some(store) = parts.upgrade() else { return };
        if let Err(error) = store.packages.end_collection(garbage).await {
            tracing::error!(%error, "packages that nobody needs stay until the next start");
        }
    }
}

async fn wait(parts: &Weak<Parts>, freed: &Notify) {
    let is_behind = parts.upgrade().is_some_and(|store| store.functions.has_unswept());
    let notified = freed.notified();
    if is_behind {
        // Told or not: it is time.
        drop(tokio::time::timeout(RETRY, notified).await);
    } else {
        notified.await;
    }
}

async fn find(store: &Parts) -> Vec<CodeDigest> {
    store.packages.begin_collection();
    let found = async {
        let mut references = store.functions.references().await?;
        references.packages.extend(store.layers.referenced_packages().await?);
        let garbage = store.packages.not_among(references.all()).await;
        garbage.map_err(|error| StoreError::Failed(error.into()))
    };
    found.await.unwrap_or_else(|error: StoreError| {
        tracing::error!(%error, "packages that nobody needs cannot be told");
        Vec::new()
    })
}
