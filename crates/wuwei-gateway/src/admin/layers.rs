//! `layers/…`: the package of a layer version as it was sent, and versions that are brought from elsewhere.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::json;
use wuwei_model::service::Access;
use wuwei_model::{CodeDigest, LayerKey, LayerVersion, Policy, PolicyQuestion, limits};
use wuwei_store::StoreError;

use super::Request;
use crate::auth::{Act, Principal};
use crate::lambda::{ApiError, GET_LAYER_VERSION, package_refusal};
use crate::wire::Answer;

/// Largest package that can be brought.
pub(super) const BODY_BYTES_MAX: u64 = limits::ZIP_DIRECT_BYTES_MAX;

/// `GET layers/<account>/<region>/<name>/<number>/<digest>`.
pub(super) async fn download(
    request: &Request<'_>,
    path: [&str; 3],
    number: &str,
    digest: &str,
) -> Result<Answer, ApiError> {
    let [account, region, name] = path.map(str::to_owned);
    let key = LayerKey { account, region, name };
    let parts = &request.exchange.parts;
    let absent = || ApiError::not_found(format!("Package not found: {digest}"));
    let (number, wanted) = (number.parse::<u64>().ok(), CodeDigest::from_hex(digest));
    let (number, wanted) = number.zip(wanted).ok_or_else(absent)?;
    let found = parts.store.layers().get(&key).await?;
    let version = found.and_then(|(layer, _)| layer.versions.get(&number).cloned()).ok_or_else(absent)?;
    // A package is shown to those who may use the version that has it: the digest alone opens nothing.
    if version.code.digest != wanted || !may_use(&request.principal, &key, number, &version) {
        return Err(absent());
    }
    let zip = parts.store.packages().zip(&wanted).await?.ok_or_else(absent)?;
    let disposition = format!("attachment; filename=\"{}-{number}.zip\"", key.name);
    Ok(Answer::new(StatusCode::OK, "application/zip", zip).with("content-disposition", &disposition))
}

fn may_use(principal: &Principal, key: &LayerKey, number: u64, version: &LayerVersion) -> bool {
    let act = Act { action: GET_LAYER_VERSION, resource: &key.version_arn(number), access: Access::Read };
    if principal.may(&act, None).is_err() {
        return false;
    }
    let names = principal.names();
    let caller = Some(names.caller_of(&key.account));
    let question = PolicyQuestion { action: GET_LAYER_VERSION, caller, url_auth_type: None, via_url: false };
    key.account == principal.account || version.imported || version.policy.allows(&question)
}

/// `PUT layers/<arn of a version>`: stores a version under the ARN that it has elsewhere.
pub(super) async fn import(request: &Request<'_>, arn: &str) -> Result<Answer, ApiError> {
    // It is there for all accounts, whosever name it has.
    check_may_import(&request.principal, arn)?;
    let (key, number) =
        LayerKey::of_version_arn(arn).map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
    if number == 0 {
        return Err(ApiError::invalid_parameter("Versions of layers are numbered from 1."));
    }
    let parts = &request.exchange.parts;
    let packages = parts.store.packages();
    // Kept until the layer names it.
    let package = packages.admit(request.body.clone()).await.map_err(|error| package_refusal(&error))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let version = LayerVersion {
        code: package.code.clone(),
        description: None,
        license: None,
        compatible_runtimes: Vec::new(),
        compatible_architectures: Vec::new(),
        created_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        policy: Policy::default(),
        imported: true,
    };
    match parts.store.layers().import(&key, number, &version).await {
        Ok(()) => {}
        Err(StoreError::Exists) => {
            return Err(ApiError::conflict(format!("Layer version {arn} is there already, with another package.")));
        }
        Err(error) => return Err(error.into()),
    }
    let digest = version.code.digest.to_string();
    let document = json!({"arn": arn, "code_sha256": digest, "code_size": version.code.size_bytes});
    Ok(Answer::json(StatusCode::CREATED, &document))
}

/// Refuses those who are no administrators.
pub(super) fn check_may_import(principal: &Principal, arn: &str) -> Result<(), ApiError> {
    if principal.is_administrator() {
        Ok(())
    } else {
        Err(ApiError::access_denied(&principal.arn(), "wuwei:ImportLayer", arn))
    }
}
