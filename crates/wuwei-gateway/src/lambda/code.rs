//! Where the package of a function or a layer can be downloaded.

use std::time::{Duration, SystemTime};

use http::Uri;
use wuwei_model::FunctionVersion;

use crate::auth::Principal;
use crate::gateway::GatewayOptions;
use crate::sign::{Credentials, presign};

/// Validity of a download URL: AWS's ten minutes.
const VALIDITY: Duration = Duration::from_secs(600);

/// `Code.Location`: a URL of this server, signed with the caller's own key, so that it can do no more than the caller.
pub(super) fn location(options: &GatewayOptions, principal: &Principal, version: &FunctionVersion) -> String {
    let key = &version.key;
    let path = format!("code/{}/{}/{}/{}", key.account, key.region, key.name, version.code.digest.to_hex());
    signed_url(options, principal, &path)
}

/// A URL of one of wuwei's own endpoints, signed in the same way.
pub(super) fn signed_url(options: &GatewayOptions, principal: &Principal, path: &str) -> String {
    let url = format!("{}/_wuwei/v1/{path}", options.public_endpoint);
    // When signatures are not checked there is no key, and no secret that would matter.
    let credentials = match &principal.key {
        Some(key) => Credentials { access_key_id: key.id.clone(), secret_access_key: key.secret.clone() },
        None => Credentials { access_key_id: principal.account.clone(), secret_access_key: String::new() },
    };
    match url.parse::<Uri>() {
        Ok(uri) => presign(&uri, &credentials, &options.region, "wuwei", SystemTime::now(), VALIDITY),
        Err(error) => {
            tracing::error!(%error, url, "the public endpoint makes no valid URL");
            url
        }
    }
}
