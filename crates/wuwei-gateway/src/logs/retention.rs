//! How long logs are kept.

use std::sync::Weak;
use std::time::Duration;

use super::groups;
use crate::gateway::Parts;

/// How often it is looked which functions belong to which groups.
const PERIOD: Duration = Duration::from_secs(3600);

/// Tells the recorder how long the log of each function is to be kept.
pub(crate) async fn apply(parts: &Parts) {
    // What was read last is told last.
    let _one = parts.retention.lock().await;
    let mut days = Vec::new();
    for account in crate::accounts::all(parts).await {
        let groups = match groups::candidates(parts, &account).await {
            Ok(groups) => groups,
            // Nothing is removed on the word of a list that may not be whole.
            Err(_logged) => return,
        };
        for group in groups.into_values() {
            if let Some(kept) = group.record.and_then(|record| record.retention_days) {
                days.extend(group.functions.into_iter().map(|function| (function, kept)));
            }
        }
    }
    if let Err(error) = parts.recorder.retain(days).await {
        tracing::error!(error = %crate::errors::chain(&error), "old logs cannot be removed");
    }
}

/// The same every hour, for functions come and change their groups. Ends with the gateway.
pub(crate) async fn keep_applying(parts: Weak<Parts>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(parts) = parts.upgrade() else { return };
        apply(&parts).await;
    }
}
