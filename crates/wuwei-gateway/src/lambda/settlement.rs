//! Brings a new or changed function to rest: Pending becomes Active, InProgress becomes Successful.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wuwei_model::{FunctionKey, FunctionVersion, LastUpdateStatus, State};
use wuwei_store::StoreError;

use super::provision;
use crate::gateway::Parts;

/// Attempts in a row when the store fails.
const ATTEMPTS: u32 = 5;
/// Between rows of attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// Functions that are read at a time when a server starts.
const PAGE: usize = 200;
/// Functions that are expected to be called soon when a server starts.
const EXPECTED_MAX: usize = 256;

/// Makes a function ready in the background; `revision_id` is that of the change which this is for.
pub(super) fn begin(parts: &Arc<Parts>, key: FunctionKey, revision_id: String) {
    let shared = Arc::clone(parts);
    parts.tasks.spawn(async move {
        let mut stopping = shared.stopping.subscribe();
        // For as long as the store fails, or the function could neither be changed nor become active any more. What a
        // server that stops leaves behind is settled by the next one.
        while !settle(&shared, &key, &revision_id).await {
            let stopped = stopping.wait_for(|stopping| *stopping);
            if tokio::time::timeout(PAUSE, stopped).await.is_ok() {
                return;
            }
        }
    });
}

/// Marks a function as ready, unless it has been changed again; false when the store failed each time. The package is
/// unpacked; sandboxes for such a function may be built ahead from now on.
pub(super) async fn settle(parts: &Parts, key: &FunctionKey, revision_id: &str) -> bool {
    for attempt in 1..=ATTEMPTS {
        match try_settle(parts, key, revision_id).await {
            Ok(()) => return true,
            Err(StoreError::Conflict) => {}
            Err(error) => {
                tracing::error!(%error, function = key.name, attempt, "settle a function");
                tokio::time::sleep(Duration::from_millis(100) * attempt).await;
            }
        }
    }
    false
}

async fn try_settle(parts: &Parts, key: &FunctionKey, revision_id: &str) -> Result<(), StoreError> {
    let Some((mut function, revision)) = parts.store.functions().get(key).await? else { return Ok(()) };
    if function.latest.revision_id != revision_id || !is_unsettled(&function.latest) {
        return Ok(());
    }
    mark_settled(&mut function.latest);
    parts.store.functions().update(&function, revision).await?;
    parts.engine.expect(&function.latest);
    Ok(())
}

/// Tells the engine what is kept for functions of all accounts, settles what an earlier server left behind, and says which functions may be called soon: those that were changed last.
pub(crate) async fn recover(parts: &Parts) {
    match parts.store.functions().guarantees().await {
        Ok(guarantees) => {
            for (key, _) in guarantees {
                if provision::apply(parts, &key).await.is_err() {
                    tracing::error!(function = key.name, "its concurrency is not kept");
                }
            }
        }
        Err(error) => tracing::error!(%error, "read the concurrency that is kept for functions"),
    }
    let mut latest = Vec::new();
    for account in crate::accounts::all(parts).await {
        recover_account(parts, &account, &mut latest).await;
    }
    // The last word counts most.
    latest.sort_by_key(|function: &FunctionVersion| function.last_modified_ms);
    latest.iter().for_each(|function| parts.engine.expect(function));
}

/// Settles the functions of an account, and adds those that were changed last to `latest`.
async fn recover_account(parts: &Parts, account: &str, latest: &mut Vec<FunctionVersion>) {
    let mut after: Option<String> = None;
    loop {
        let page = parts.store.functions().list(account, &parts.options.region, after.as_deref(), PAGE).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "list the functions that may be pending");
                return;
            }
        };
        for function in page.iter().filter(|function| is_unsettled(&function.latest)) {
            settle(parts, &function.latest.key, &function.latest.revision_id).await;
        }
        latest.extend(page.iter().map(|function| function.latest.clone()));
        if latest.len() > EXPECTED_MAX {
            latest.sort_by_key(|function| function.last_modified_ms);
            latest.drain(..latest.len() - EXPECTED_MAX);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.latest.key.name.clone()),
            Some(_) | None => return,
        }
    }
}

/// Whether a function is unsettled and nobody of this server is at work on it: the change is older than the server.
pub(super) fn is_left_behind(latest: &FunctionVersion, started_at: SystemTime) -> bool {
    let started_ms = started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let changed_ms = u128::try_from(latest.last_modified_ms).unwrap_or(0);
    is_unsettled(latest) && changed_ms < started_ms
}

fn is_unsettled(latest: &FunctionVersion) -> bool {
    latest.state == State::Pending || latest.last_update_status == LastUpdateStatus::InProgress
}

fn mark_settled(latest: &mut FunctionVersion) {
    latest.state = State::Active;
    latest.state_reason = None;
    latest.last_update_status = LastUpdateStatus::Successful;
    latest.last_update_reason = None;
}

#[cfg(test)]
mod tests {
    use super::{is_left_behind, is_unsettled, mark_settled};
    use crate::lambda::settings::tests::version;
    use std::time::{Duration, UNIX_EPOCH};
    use wuwei_model::{LastUpdateStatus, State};

    #[test]
    fn settling_leaves_nothing_pending() {
        let mut function = version();
        function.state = State::Pending;
        function.last_update_status = LastUpdateStatus::InProgress;
        assert!(is_unsettled(&function));
        mark_settled(&mut function);
        assert!(!is_unsettled(&function));
    }

    #[test]
    fn only_changes_older_than_the_server_are_left_behind() {
        let mut function = version();
        function.last_update_status = LastUpdateStatus::InProgress;
        assert!(is_left_behind(&function, UNIX_EPOCH + Duration::from_millis(1_001)));
        assert!(!is_left_behind(&function, UNIX_EPOCH + Duration::from_millis(1_000)));
        function.last_update_status = LastUpdateStatus::Successful;
        assert!(!is_left_behind(&function, UNIX_EPOCH + Duration::from_millis(1_001)));
    }
}
