//! Code signing: which configuration an ARN names, and what becomes of code.
//!
//! Signatures are AWS Signer's, whose certificates nobody here can check: all code counts as code that nobody trusted
//! has signed.

use serde_json::{Value, json};
use wuwei_model::service::Access;
use wuwei_model::{CodeSigningConfig, UntrustedArtifact};
use wuwei_store::Revision;

use super::call::Call;
use super::configuration::timestamp;
use super::error::ApiError;
use crate::auth::Act;

/// A configuration of the account that a call is about: the function's, else the caller's. `None` when there is none of
/// this ARN.
pub(super) async fn find(call: &Call, arn: &str) -> Result<Option<(CodeSigningConfig, Revision)>, ApiError> {
    let account = call.target.as_ref().map_or(&call.principal.account, |target| &target.key.account);
    let region = &call.parts.options.region;
    let Some(id) = CodeSigningConfig::id_of(account, region, arn) else { return Ok(None) };
    Ok(call.parts.store.code_signing().get(account, region, id).await?)
}

/// The configuration that `CodeSigningConfigArn` names.
pub(super) async fn named(call: &Call) -> Result<(CodeSigningConfig, Revision), ApiError> {
    let arn = call.text("CodeSigningConfigArn").unwrap_or_default();
    find(call, arn).await?.ok_or_else(|| missing(arn))
}

/// AWS's words for a configuration that is not there.
pub(super) fn missing(arn: &str) -> ApiError {
    ApiError::not_found(format!("The Lambda code signing configuration {arn} can not be found."))
}

/// Refuses a function that is to have a configuration which is not there.
pub(super) async fn check_named(call: &Call, arn: &str) -> Result<(), ApiError> {
    if find(call, arn).await?.is_some() { Ok(()) } else { Err(ApiError::code_signing_config_not_found(arn)) }
}

/// Refuses new code, and new layers, of a function whose configuration enforces signatures.
pub(super) async fn check_code(call: &Call, arn: Option<&str>) -> Result<(), ApiError> {
    let Some(arn) = arn else { return Ok(()) };
    let (config, _) = find(call, arn).await?.ok_or_else(|| ApiError::code_signing_config_not_found(arn))?;
    match config.untrusted {
        UntrustedArtifact::Enforce => Err(ApiError::code_not_verified()),
        UntrustedArtifact::Warn => {
            tracing::warn!(config = config.id, "code is deployed although nobody trusted has signed it");
            Ok(())
        }
    }
}

/// Configurations are for all functions: a key for some of them may not change one.
pub(super) fn check_may_change(call: &Call, operation: &str) -> Result<(), ApiError> {
    let resource = call.text("CodeSigningConfigArn").or_else(|| call.text("Resource")).unwrap_or("*");
    let action = format!("lambda:{operation}");
    let act = Act { action: &action, resource, access: Access::Write };
    if call.principal.may(&act, None).is_ok() && call.principal.functions == "*" {
        return Ok(());
    }
    Err(ApiError::access_denied(&call.principal.arn(), &format!("lambda:{operation}"), resource))
}

/// A configuration as AWS shows it.
pub(super) fn shown(config: &CodeSigningConfig) -> Value {
    json!({
        "CodeSigningConfigId": config.id,
        "CodeSigningConfigArn": config.arn(),
        "Description": config.description.as_deref().unwrap_or_default(),
        "AllowedPublishers": { "SigningProfileVersionArns": config.publishers },
        "CodeSigningPolicies": { "UntrustedArtifactOnDeployment": config.untrusted.as_str() },
        "LastModified": timestamp(config.modified_ms),
    })
}
