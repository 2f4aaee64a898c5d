//! Finds functions and versions, and guards changes of them.

use std::sync::Arc;

use wuwei_model::{Alias, FunctionKey, FunctionVersion, LastUpdateStatus, State, Version};
use wuwei_store::{Function, KnownFunction, Revision};

use super::error::ApiError;
use super::settlement;
use super::target::Target;
use crate::gateway::Parts;

/// Words for a call that names a version where only the function will do.
const FUNCTIONS_ONLY: &str = "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please \
     specify either a function name or an unqualified function ARN.";

/// The function of a key, settled if an earlier server left it pending.
pub(crate) async fn function(parts: &Parts, key: &FunctionKey) -> Result<Option<(Function, Revision)>, ApiError> {
    let found = parts.store.functions().get(key).await?;
    match &found {
        Some((function, _)) if settlement::is_left_behind(&function.latest, parts.started_at) => {
            settlement::settle(parts, key, &function.latest.revision_id).await;
            Ok(parts.store.functions().get(key).await?)
        }
        Some(_) | None => Ok(found),
    }
}

/// As [`function`], for those who only look: most often from memory.
pub(crate) async fn known(parts: &Parts, key: &FunctionKey) -> Result<Option<Arc<KnownFunction>>, ApiError> {
    let functions = parts.store.functions();
    let found = functions.known(key).await?;
    match &found {
        Some(known) if settlement::is_left_behind(&known.latest, parts.started_at) => {
            settlement::settle(parts, key, &known.latest.revision_id).await;
            Ok(functions.known(key).await?)
        }
        Some(_) | None => Ok(found),
    }
}

/// The version that a call names; of an alias, the first.
pub(super) async fn version(parts: &Parts, target: &Target) -> Result<Arc<FunctionVersion>, ApiError> {
    resolve(parts, target, |alias| alias.version).await
}

/// The version that serves a call; an alias may lead to either of its two.
pub(super) async fn version_for_call(parts: &Parts, target: &Target) -> Result<Arc<FunctionVersion>, ApiError> {
    resolve(parts, target, choose).await
}

/// The version that serves a call of a function that has been read, and of what a qualifier names of it.
pub(crate) async fn version_of(
    parts: &Parts,
    known: &KnownFunction,
    qualifier: &str,
) -> Result<Option<Arc<FunctionVersion>>, ApiError> {
    match read_qualifier(Some(qualifier)) {
        Qualifier::Latest => Ok(Some(Arc::clone(&known.latest))),
        Qualifier::Number(number) => numbered(parts, &known.latest.key, number).await,
        Qualifier::Name(name) => match known.function.aliases.get(name).map(choose) {
            Some(Version::Latest) => Ok(Some(Arc::clone(&known.latest))),
            Some(Version::Published(number)) => numbered(parts, &known.latest.key, number).await,
            None => Ok(None),
        },
    }
}

/// The one place where a qualifier becomes a version.
async fn resolve(
    parts: &Parts,
    target: &Target,
    of_alias: impl Fn(&Alias) -> Version + Send,
) -> Result<Arc<FunctionVersion>, ApiError> {
    let found = match read_qualifier(target.qualifier.as_deref()) {
        Qualifier::Latest => known(parts, &target.key).await?.map(|known| Arc::clone(&known.latest)),
        Qualifier::Number(number) => numbered(parts, &target.key, number).await?,
        Qualifier::Name(name) => match known(parts, &target.key).await? {
            None => None,
            Some(known) => match known.function.aliases.get(name).map(of_alias) {
                None => None,
                Some(Version::Latest) => Some(Arc::clone(&known.latest)),
                Some(Version::Published(number)) => numbered(parts, &target.key, number).await?,
            },
        },
    };
    found.ok_or_else(|| ApiError::function_not_found(&target.arn()))
}

async fn numbered(parts: &Parts, key: &FunctionKey, number: u64) -> Result<Option<Arc<FunctionVersion>>, ApiError> {
    Ok(parts.store.functions().known_version(key, number).await?)
}

fn choose(alias: &Alias) -> Version {
    // Without random numbers there is no second version.
    alias.route.and_then(|_| getrandom::u64().ok()).map_or(alias.version, |chance| alias.choose(chance))
}

/// Refuses a version or an alias where only the function will do.
pub(super) fn check_unqualified(target: &Target) -> Result<(), ApiError> {
    match target.qualifier {
        Some(_) => Err(ApiError::invalid_parameter(FUNCTIONS_ONLY)),
        None => Ok(()),
    }
}

/// The function of a call that changes it: unqualified, at rest, and at the revision that the caller has seen.
pub(super) async fn changeable(
    parts: &Parts,
    target: &Target,
    revision_id: Option<&str>,
) -> Result<(Function, Revision), ApiError> {
    if target.qualifier.as_deref().is_some_and(|qualifier| qualifier != "$LATEST") {
        return Err(ApiError::invalid_parameter(FUNCTIONS_ONLY));
    }
    let found = function(parts, &target.key).await?;
    let (function, revision) = found.ok_or_else(|| ApiError::function_not_found(&target.key.arn()))?;
    check_at_rest(&function.latest)?;
    check_revision(&function.latest.revision_id, revision_id)?;
    Ok((function, revision))
}

/// What a qualifier means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Qualifier<'text> {
    /// None, or `$LATEST`.
    Latest,
    /// A version.
    Number(u64),
    /// An alias, if there is one of this name.
    Name(&'text str),
}

/// Reads a qualifier that has passed validation.
pub(super) fn read_qualifier(qualifier: Option<&str>) -> Qualifier<'_> {
    match qualifier {
        None | Some("$LATEST") => Qualifier::Latest,
        // The store counts in signed 64 bits; a number without a version is as good as an unknown name.
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = text.parse().ok().filter(|number: &u64| *number <= i64::MAX.unsigned_abs());
            // `07` is not how version 7 is written.
            number.filter(|_| !text.starts_with('0')).map_or(Qualifier::Name(text), Qualifier::Number)
        }
        Some(name) => Qualifier::Name(name),
    }
}

fn check_at_rest(latest: &FunctionVersion) -> Result<(), ApiError> {
    check_state(latest)?;
    match latest.last_update_status {
        LastUpdateStatus::InProgress => Err(ApiError::update_in_progress(&latest.key.arn())),
        LastUpdateStatus::Successful | LastUpdateStatus::Failed => Ok(()),
    }
}

/// Refuses what needs an active function.
pub(crate) fn check_state(version: &FunctionVersion) -> Result<(), ApiError> {
    let state = match version.state {
        State::Active => return Ok(()),
        State::Pending => "Pending",
        State::Failed => "Failed",
    };
    Err(ApiError::conflict(format!(
        "The operation cannot be performed at this time. The function is currently in the following state: {state}"
    )))
}

/// Refuses a change by a caller who has seen another revision.
pub(super) fn check_revision(current: &str, revision_id: Option<&str>) -> Result<(), ApiError> {
    match revision_id {
        Some(seen) if seen != current => Err(ApiError::revision_mismatch()),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Qualifier, check_at_rest, check_revision, read_qualifier};
    use crate::lambda::settings::tests::version;
    use wuwei_model::{LastUpdateStatus, State};

    #[test]
    fn qualifiers_are_latest_numbers_or_names() {
        let check = |text, expected: Qualifier<'_>| assert_eq!(read_qualifier(text), expected, "{text:?}");
        check(None, Qualifier::Latest);
        check(Some("$LATEST"), Qualifier::Latest);
        check(Some("7"), Qualifier::Number(7));
        for name in ["live", "07", "0", "99999999999999999999999", "18446744073709551615"] {
            check(Some(name), Qualifier::Name(name));
        }
    }

    #[test]
    fn changes_are_refused_while_one_is_under_way() {
        let mut function = version();
        check_at_rest(&function).unwrap();
        function.last_update_status = LastUpdateStatus::InProgress;
        assert_eq!(
            check_at_rest(&function).unwrap_err().message(),
            "The operation cannot be performed at this time. An update is in progress for resource: \
             arn:aws:lambda:us-east-1:000000000000:function:f"
        );
        function.state = State::Pending;
        assert_eq!(
            check_at_rest(&function).unwrap_err().message(),
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        );
    }

    #[test]
    fn an_old_revision_id_is_refused() {
        check_revision("first", None).unwrap();
        check_revision("first", Some("first")).unwrap();
        assert_eq!(check_revision("first", Some("other")).unwrap_err().name(), "PreconditionFailedException");
    }
}
