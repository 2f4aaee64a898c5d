//! Where the package of a function or a layer can be downloaded, and by whom.

use std::time::{Duration, SystemTime};

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, json};
use wuwei_model::service::ServiceModel;
use wuwei_model::{CodeDigest, FunctionKey, FunctionVersion};

use super::authorisation::{Wish, action, authorise};
use super::call::Call;
use super::error::ApiError;
use super::lookup;
use super::target::Target;
use crate::auth::{AssumedRole, Principal, SessionPolicies};
use crate::gateway::Parts;
use crate::sign::{Credentials, presign};

/// Validity of a download URL: AWS's ten minutes.
const VALIDITY: Duration = Duration::from_secs(600);

/// `Code.Location`: a URL of this server, signed with the caller's own key, so that it can do no more than the caller.
pub(super) fn location(call: &Call, version: &FunctionVersion) -> String {
    let key = &version.key;
    let mut path = format!("code/{}/{}/{}/{}", key.account, key.region, key.name, version.code.digest.to_hex());
    if let Some(qualifier) = &call.target().qualifier
        && !is_by_key(&call.principal, key)
    {
        path.push_str("?Qualifier=");
        path.extend(utf8_percent_encode(qualifier, NON_ALPHANUMERIC));
    }
    signed_url(call, &path)
}

/// A URL of one of wuwei's own endpoints, signed in the same way.
pub(super) fn signed_url(call: &Call, path: &str) -> String {
    let options = &call.parts.options;
    let mut url = format!("{}/_wuwei/v1/{path}", options.public_endpoint);
    let (credentials, token) = credentials(&call.parts, &call.principal);
    if let Some(token) = token {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("X-Amz-Security-Token=");
        url.extend(utf8_percent_encode(&token, NON_ALPHANUMERIC));
    }
    match url.parse::<Uri>() {
        Ok(uri) => presign(&uri, &credentials, &options.region, "wuwei", SystemTime::now(), VALIDITY),
        Err(error) => {
            tracing::error!(%error, "the public endpoint makes no valid URL");
            url
        }
    }
}

/// What a caller's URLs are signed with, and the token that belongs to it.
fn credentials(parts: &Parts, principal: &Principal) -> (Credentials, Option<String>) {
    // When signatures are not checked there is no key, and no secret that would matter.
    let unchecked = || Credentials { access_key_id: principal.account.clone(), secret_access_key: String::new() };
    if let Some(key) = &principal.key {
        return (Credentials { access_key_id: key.id.clone(), secret_access_key: key.secret.clone() }, None);
    }
    let Some(role) = &principal.made_role else { return (unchecked(), None) };
    // A function's own credentials are good on its way back only, and nobody keeps the token of an assumed role: both
    // get new ones, which can download and do nothing else.
    let name = principal.session_name();
    let bounds = SessionPolicies { inline: Some(download_policy()), arns: Vec::new() };
    match AssumedRole::issue(
        &parts.store,
        (&principal.account, role),
        name,
        (SystemTime::now(), VALIDITY),
        Some(bounds),
    ) {
        Ok(issued) => {
            let secret_access_key = issued.secret().to_owned();
            let credentials = Credentials { access_key_id: issued.assumed.key_id.clone(), secret_access_key };
            (credentials, Some(issued.token))
        }
        Err(error) => {
            tracing::error!(%error, "no random numbers for the URL of a package");
            (unchecked(), None)
        }
    }
}

fn download_policy() -> String {
    let actions = ["lambda:GetFunction", super::GET_LAYER_VERSION];
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}).to_string()
}

/// Whether a caller's key alone tells whether they may have the package of a function.
pub(crate) fn is_by_key(principal: &Principal, function: &FunctionKey) -> bool {
    principal.is_key() && principal.account == function.account
}

/// Whether a caller may have the package of a version because policies say so.
pub(crate) async fn may_download(
    parts: &Parts,
    principal: &Principal,
    target: &Target,
    digest: CodeDigest,
) -> Result<bool, ApiError> {
    let Some(operation) = ServiceModel::lambda().operation("GetFunction") else { return Ok(false) };
    let action = action(operation.name());
    let wish = Wish { operation, action: &action, target: Some(target), members: &Map::new() };
    authorise(parts, principal, &wish).await?;
    Ok(lookup::version(parts, target).await?.code.digest == digest)
}
