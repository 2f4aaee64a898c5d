//! Reads what a request claims about its signer, from the `Authorization` header or from the query.

use http::HeaderMap;
use time::OffsetDateTime;

use super::signature::ALGORITHM;
use super::{AuthError, Scope, decode_query, instant};

/// A session token as a request brought it; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionToken(pub(super) String);

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SessionToken(..)")
    }
}

/// A claim that is well formed, and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(super) key_id: String,
    pub(super) scope: Scope,
    /// Last part of the scope; must be `aws4_request`.
    pub(super) terminator: String,
    /// Lower-case names.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) at: OffsetDateTime,
    /// Validity of a presigned URL in seconds.
    pub(super) expires_s: Option<u64>,
    /// The token that temporary credentials come with.
    pub(super) session_token: Option<SessionToken>,
    /// `X-Amz-Content-Sha256` of a presigned URL.
    pub(super) payload_hash: Option<String>,
}

impl Claim {
    /// Whether it is made with temporary credentials.
    pub(crate) fn is_temporary(&self) -> bool {
        self.session_token.is_some()
    }

    /// Id of the key that it names.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }
}

/// Longest validity of a presigned URL: a week.
const EXPIRES_MAX_S: u64 = 604_800;

/// Reads the claim of a request.
pub(super) fn read(headers: &HeaderMap, query: &str) -> Result<Claim, AuthError> {
    if let Some(value) = headers.get(http::header::AUTHORIZATION) {
        return from_header(&String::from_utf8_lossy(value.as_bytes()), headers);
    }
    let pairs = decode_query(query);
    if pairs.iter().any(|(name, _)| name.starts_with("X-Amz-") && name != "X-Amz-Date") {
        return from_query(&pairs);
    }
    Err(AuthError::Missing)
}

/// The access key id of a request, read leniently: for when nothing is checked.
pub(crate) fn key_id(headers: &HeaderMap, query: &str) -> Option<String> {
    let credential = credential(headers, query)?;
    let id = credential.split('/').next().unwrap_or_default();
    (!id.is_empty()).then(|| id.to_owned())
}

/// The service that a request is signed for, read leniently: to tell whoever came to the wrong place.
pub(crate) fn claimed_service(headers: &HeaderMap, query: &str) -> Option<String> {
    // `…/date/region/service/aws4_request`; signature version 4A has no region.
    let credential = credential(headers, query)?;
    let scope = credential.split([',', ' ']).next()?;
    scope.rsplit('/').nth(1).filter(|_| scope.matches('/').count() >= 3).map(str::to_owned)
}

/// What follows `Credential=`, up to the end of the header or of the parameter of the query.
fn credential(headers: &HeaderMap, query: &str) -> Option<String> {
    let header = headers.get(http::header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match header {
        Some(text) => text.split_once("Credential=").map(|(_, rest)| rest.to_owned()),
        None => decode_query(query).into_iter().find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value),
    }
}

fn from_header(value: &str, headers: &HeaderMap) -> Result<Claim, AuthError> {
    let Some((ALGORITHM, parameters)) = value.trim().split_once(' ') else {
        return Err(AuthError::Incomplete(format!(
            "Authorization header must begin with '{ALGORITHM}' and a space, followed by its parameters."
        )));
    };
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for pair in parameters.split(',').map(str::trim) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(AuthError::Incomplete(format!(
                "'{pair}' not a valid key=value pair (missing equal-sign) in Authorization header."
            )));
        };
        match name {
            "Credential" => credential = Some(value),
            "SignedHeaders" => signed_headers = Some(value),
            "Signature" => signature = Some(value),
            _unused => {}
        }
    }
    let date = ["x-amz-date", "date"].iter().find_map(|name| headers.get(*name));
    let mut missing = String::new();
    for (name, value) in [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed_headers)] {
        if value.is_none() {
            missing.push_str("Authorization header requires '");
            missing.push_str(name);
            missing.push_str("' parameter. ");
        }
    }
    if date.is_none() {
        missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
    }
    let (Some(credential), Some(signed_headers), Some(signature), Some(date)) =
        (credential, signed_headers, signature, date)
    else {
        return Err(AuthError::Incomplete(missing.trim_end().to_owned()));
    };
    let (key_id, scope, terminator) = read_credential(credential)?;
    Ok(Claim {
        key_id,
        scope,
        terminator,
        signed_headers: names(signed_headers),
        signature: signature.to_owned(),
        at: read_date(&String::from_utf8_lossy(date.as_bytes()))?,
        expires_s: None,
        session_token: headers
            .get("x-amz-security-token")
            .map(|value| SessionToken(String::from_utf8_lossy(value.as_bytes()).into_owned())),
        payload_hash: None,
    })
}

fn from_query(pairs: &[(String, String)]) -> Result<Claim, AuthError> {
    let find = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let require = |wanted: &str| {
        find(wanted).ok_or_else(|| {
            AuthError::Incomplete(format!(
                "AWS query-string parameters must include '{wanted}'. Re-examine the query-string parameters."
            ))
        })
    };
    let algorithm = require("X-Amz-Algorithm")?;
    let credential = require("X-Amz-Credential")?;
    let signature = require("X-Amz-Signature")?;
    let signed_headers = require("X-Amz-SignedHeaders")?;
    let date = require("X-Amz-Date")?;
    let expires = require("X-Amz-Expires")?;
    if algorithm != ALGORITHM {
        return Err(AuthError::Incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'.")));
    }
    let expires_s = expires.parse().ok().filter(|seconds| *seconds <= EXPIRES_MAX_S);
    let Some(expires_s) = expires_s else {
        return Err(AuthError::Refused(format!(
            "X-Amz-Expires must be a number of seconds that is not negative and not more than a week ({EXPIRES_MAX_S})."
        )));
    };
    let (key_id, scope, terminator) = read_credential(credential)?;
    Ok(Claim {
        key_id,
        scope,
        terminator,
        signed_headers: names(signed_headers),
        signature: signature.to_owned(),
        at: read_date(date)?,
        expires_s: Some(expires_s),
        session_token: find("X-Amz-Security-Token").map(|token| SessionToken(token.to_owned())),
        payload_hash: find("X-Amz-Content-Sha256").map(str::to_owned),
    })
}

fn names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_ascii_lowercase).collect()
}

fn read_date(text: &str) -> Result<OffsetDateTime, AuthError> {
    instant::parse(text).ok_or_else(|| {
        AuthError::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })
}

fn read_credential(text: &str) -> Result<(String, Scope, String), AuthError> {
    let parts: Vec<&str> = text.split('/').collect();
    let [key_id, date, region, service, terminator] = parts.as_slice() else {
        return Err(AuthError::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'"
        )));
    };
    let scope = Scope { date: (*date).to_owned(), region: (*region).to_owned(), service: (*service).to_owned() };
    Ok(((*key_id).to_owned(), scope, (*terminator).to_owned()))
}
