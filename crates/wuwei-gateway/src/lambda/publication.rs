//! Publishes versions.

use uuid::Uuid;
use wuwei_model::{FunctionVersion, LastUpdateStatus, State, Version};
use wuwei_store::{Function, Revision, StoreError};

use super::error::ApiError;
use crate::gateway::Parts;

/// Publishes `$LATEST` as it stands in `function` (which is stored with it), or finds that the last version is the same.
///
/// `expected` is the stored revision that `function` was made from.
pub(super) async fn publish(
    parts: &Parts,
    mut function: Function,
    expected: Revision,
    description: Option<&str>,
) -> Result<(FunctionVersion, Revision), ApiError> {
    let key = function.latest.key.clone();
    function.last_published += 1;
    let version = next_version(&function, description);
    match parts.store.functions().publish(&function, expected, &version).await {
        Ok(revision) => Ok((version, revision)),
        Err(StoreError::Conflict) => Err(ApiError::update_in_progress(&key.arn())),
        Err(error) => Err(error.into()),
    }
}

/// The last version, when `$LATEST` has not changed since it was published: AWS publishes no second one then.
pub(super) async fn unchanged(parts: &Parts, function: &Function) -> Result<Option<FunctionVersion>, ApiError> {
    if function.last_published == 0 {
        return Ok(None);
    }
    let last = parts.store.functions().version(&function.latest.key, function.last_published).await?;
    Ok(last.filter(|last| is_unchanged(&function.latest, last)))
}

/// A version keeps the time of the change that it froze. Its description may be its own.
fn is_unchanged(latest: &FunctionVersion, published: &FunctionVersion) -> bool {
    let mut settings = published.settings.clone();
    settings.description.clone_from(&latest.settings.description);
    latest.code == published.code
        && latest.settings == settings
        && latest.last_modified_ms == published.last_modified_ms
}

/// The version that `$LATEST` is about to be published as.
pub(super) fn next_version(function: &Function, description: Option<&str>) -> FunctionVersion {
    let mut version = function.latest.clone();
    version.version = Version::Published(function.last_published);
    version.revision_id = Uuid::new_v4().to_string();
    version.state = State::Active;
    version.state_reason = None;
    version.last_update_status = LastUpdateStatus::Successful;
    version.last_update_reason = None;
    if let Some(description) = description {
        description.clone_into(&mut version.settings.description);
    }
    version
}

#[cfg(test)]
mod tests {
    use super::{is_unchanged, next_version};
    use crate::lambda::settings::tests::version;
    use wuwei_model::{State, Version};
    use wuwei_store::Function;

    fn function() -> Function {
        Function { last_published: 3, ..Function::new(version(), "g".to_owned()) }
    }

    #[test]
    fn a_version_freezes_latest_under_a_revision_of_its_own() {
        let mut function = function();
        function.latest.state = State::Pending;
        let published = next_version(&function, Some("mine"));
        assert_eq!(published.version, Version::Published(3));
        assert_eq!(published.settings.description, "mine");
        assert_eq!(published.state, State::Active);
        assert_ne!(published.revision_id, function.latest.revision_id);
    }

    #[test]
    fn a_description_of_the_version_is_no_change_but_a_later_update_is() {
        let mut function = function();
        let published = next_version(&function, Some("mine"));
        assert!(is_unchanged(&function.latest, &published));
        function.latest.last_modified_ms += 1;
        assert!(!is_unchanged(&function.latest, &published));
        function.latest.last_modified_ms -= 1;
        function.latest.settings.timeout_s = 9;
        assert!(!is_unchanged(&function.latest, &published));
    }
}
