//! The accounts of this server.

use std::collections::BTreeSet;

use crate::gateway::Parts;

/// Twelve digits each: the first, those that were made, and those that have functions without having been made (when
/// signatures are not checked, any account has).
pub(crate) async fn all(parts: &Parts) -> BTreeSet<String> {
    let mut accounts = BTreeSet::from([parts.options.account.clone()]);
    accounts.extend(parts.store.accounts().list("").into_iter().map(|(id, _)| id));
    match parts.store.functions().accounts().await {
        Ok(found) => accounts.extend(found),
        Err(error) => tracing::error!(error = %crate::errors::chain(&error), "list the accounts that have functions"),
    }
    accounts
}
