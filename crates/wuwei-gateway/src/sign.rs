//! Signs requests with SigV4: what a client of the Lambda API, or of wuwei's own endpoints, does.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::auth::{
    ALGORITHM, CanonicalParts, EMPTY_BODY_HASH, Scope, basic_date, basic_time, canonical_request, sign_canonical,
};

/// An access key with its secret. `Debug` shows the id only.
#[derive(Clone)]
pub struct Credentials {
    /// Public half.
    pub access_key_id: String,
    /// Secret half.
    pub secret_access_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Headers that proxies and HTTP libraries change or add, so that no signature should cover them.
const UNSIGNED: [HeaderName; 5] =
    [header::AUTHORIZATION, header::USER_AGENT, header::EXPECT, header::CONNECTION, header::TRANSFER_ENCODING];

/// Signs a request in its headers; adds `Host` (from the URI, when it is missing), `X-Amz-Date`, `X-Amz-Content-Sha256`
/// and `Authorization`.
///
/// All other headers must be set before: those that are added later are not covered. The URI must be absolute or a
/// `Host` header must be there.
pub fn sign(request: &mut Request<Bytes>, credentials: &Credentials, region: &str, service: &str, now: SystemTime) {
    let now = OffsetDateTime::from(now);
    let time = basic_time(now);
    let hash = hex::encode(Sha256::digest(request.body()));
    let host = host_of(request.uri());
    let headers = request.headers_mut();
    if let (false, Some(host)) = (headers.contains_key(header::HOST), host) {
        headers.insert(header::HOST, host);
    }
    headers.insert("x-amz-date", ascii(&time));
    headers.insert("x-amz-content-sha256", ascii(&hash));
    headers.remove(header::AUTHORIZATION);
    let signed_headers: Vec<String> = {
        let mut names: Vec<String> = headers
            .keys()
            .filter(|name| !UNSIGNED.contains(name) && *name != "x-amzn-trace-id")
            .map(|name| name.as_str().to_owned())
            .collect();
        names.sort();
        names
    };
    let scope = Scope { date: basic_date(now), region: region.to_owned(), service: service.to_owned() };
    let canonical = canonical_request(&CanonicalParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        signed_headers: &signed_headers,
        payload_hash: &hash,
    });
    let signature = sign_canonical(&credentials.secret_access_key, &scope, &time, &canonical);
    let value = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
        credentials.access_key_id,
        scope.text(),
        signed_headers.join(";")
    );
    request.headers_mut().insert(header::AUTHORIZATION, ascii(&value));
}

/// Makes a URL that anyone may GET until it expires.
///
/// `uri` is absolute; its query is kept. `expires` is at most a week, in whole seconds.
#[must_use]
pub fn presign(
    uri: &Uri,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
    expires: Duration,
) -> String {
    let now = OffsetDateTime::from(now);
    let time = basic_time(now);
    let scope = Scope { date: basic_date(now), region: region.to_owned(), service: service.to_owned() };
    let credential = format!("{}/{}", credentials.access_key_id, scope.text());
    let query = format!(
        "{}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={}&X-Amz-SignedHeaders=host",
        uri.query().map(|query| format!("{query}&")).unwrap_or_default(),
        utf8_percent_encode(&credential, NON_ALPHANUMERIC),
        expires.as_secs()
    );
    let mut headers = HeaderMap::new();
    if let Some(host) = host_of(uri) {
        headers.insert(header::HOST, host);
    }
    let canonical = canonical_request(&CanonicalParts {
        method: "GET",
        path: uri.path(),
        query: &query,
        headers: &headers,
        signed_headers: &["host".to_owned()],
        payload_hash: EMPTY_BODY_HASH,
    });
    let signature = sign_canonical(&credentials.secret_access_key, &scope, &time, &canonical);
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    format!("{scheme}://{authority}{}?{query}&X-Amz-Signature={signature}", uri.path())
}

/// `host:port` as HTTP clients send it: without a default port.
fn host_of(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let text = match uri.port_u16() {
        Some(port) if port != default => format!("{host}:{port}"),
        Some(_) | None => host.to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

fn ascii(text: &str) -> HeaderValue {
    // A key id from a user's configuration may hold anything: what no header can carry is left out, and refused there.
    HeaderValue::from_str(text).unwrap_or_else(|_invalid| HeaderValue::from_static(""))
}
