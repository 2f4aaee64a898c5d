//! Checks a signature in two steps, so that most refusals come before a body has been read.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use http::request::Parts;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

use super::authorization::{self, Claim};
use super::signer::Signer;
use super::{
    AuthError, CanonicalParts, Principal, UNSIGNED_PAYLOAD, basic_date, basic_time, canonical_request, instant,
};

/// How far a signed request's time may be from ours.
const SKEW: Duration = Duration::minutes(5);

/// What a face of the server accepts.
pub(crate) struct Verifier<'face> {
    /// Regions that a credential may be scoped to; the first is the one that is named in refusals.
    pub(crate) regions: &'face [&'face str],
    /// Services that a credential may be scoped to.
    pub(crate) services: &'face [&'face str],
    /// The clock.
    pub(crate) now: SystemTime,
}

/// What is left to check once the body is there.
pub(crate) enum BodyCheck {
    /// The signature holds; nothing about the body was promised.
    Nothing,
    /// The signature holds if the body has this hash.
    Hash(String),
    /// The signature can be calculated only with the body's hash.
    Signature(Box<PendingSignature>),
}

/// A signature that covers a body which has not been read yet.
pub(crate) struct PendingSignature {
    parts: Parts,
    claim: Claim,
    signer: Signer,
}

impl BodyCheck {
    /// Whether the hash of the body is needed at all.
    pub(crate) fn needs_hash(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Hash(_) | Self::Signature(_) => true,
        }
    }

    /// Whether the caller is believed already, whatever the body turns out to be.
    pub(crate) fn is_believed(&self) -> bool {
        match self {
            Self::Nothing | Self::Hash(_) => true,
            Self::Signature(_) => false,
        }
    }

    /// Finishes the check with the body's SHA-256 in hexadecimal.
    pub(crate) fn finish(&self, body_hash: &str) -> Result<(), AuthError> {
        match self {
            Self::Nothing => Ok(()),
            Self::Hash(promised) if promised.eq_ignore_ascii_case(body_hash) => Ok(()),
            Self::Hash(_) => Err(AuthError::Mismatch),
            Self::Signature(pending) => check_signature(&pending.parts, &pending.claim, &pending.signer, body_hash),
        }
    }
}

impl Verifier<'_> {
    /// Checks all that the head of a request shows. `find` tells who a claim names, if they are believed here.
    pub(crate) fn begin(
        &self,
        parts: &Parts,
        find: impl FnOnce(&Claim) -> Result<Signer, AuthError>,
    ) -> Result<(Principal, BodyCheck), AuthError> {
        let claim = authorization::read(&parts.headers, parts.uri.query().unwrap_or_default())?;
        check_signed_headers(parts, &claim)?;
        self.check_scope(&claim)?;
        check_time(&claim, instant::whole_seconds(self.now))?;
        let signer = find(&claim)?;
        let principal = signer.principal();
        let body_check = match promised_hash(parts, &claim)? {
            Some(promised) => {
                check_signature(parts, &claim, &signer, &promised)?;
                if promised == UNSIGNED_PAYLOAD { BodyCheck::Nothing } else { BodyCheck::Hash(promised) }
            }
            None => BodyCheck::Signature(Box::new(PendingSignature { parts: parts.clone(), claim, signer })),
        };
        Ok((principal, body_check))
    }

    fn check_scope(&self, claim: &Claim) -> Result<(), AuthError> {
        let scope = &claim.scope;
        if !self.regions.contains(&scope.region.as_str()) {
            return Err(AuthError::Refused(format!(
                "Credential should be scoped to a valid region, not '{}'. ",
                scope.region
            )));
        }
        if !self.services.contains(&scope.service.as_str()) {
            let wanted = self.services.first().copied().unwrap_or_default();
            return Err(AuthError::Refused(format!("Credential should be scoped to correct service: '{wanted}'. ")));
        }
        if claim.terminator != "aws4_request" {
            return Err(AuthError::Refused(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'. ",
                claim.terminator
            )));
        }
        let date = basic_date(claim.at);
        if scope.date != date {
            return Err(AuthError::Refused(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{date}', from '{}'.",
                scope.date,
                basic_time(claim.at)
            )));
        }
        Ok(())
    }
}

/// `host` and every `x-amz-` header must be under the signature, or they could be changed on the way.
fn check_signed_headers(parts: &Parts, claim: &Claim) -> Result<(), AuthError> {
    let signed = |wanted: &str| claim.signed_headers.iter().any(|name| name == wanted);
    if !signed("host") && !signed(":authority") {
        let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(AuthError::Refused(text.to_owned()));
    }
    let unsigned =
        parts.headers.keys().map(http::HeaderName::as_str).find(|name| name.starts_with("x-amz-") && !signed(name));
    match unsigned {
        Some(name) => Err(AuthError::Refused(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))),
        None => Ok(()),
    }
}

fn check_time(claim: &Claim, now: OffsetDateTime) -> Result<(), AuthError> {
    let validity = match claim.expires_s {
        Some(seconds) => Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)),
        None => SKEW,
    };
    if claim.at < now - validity {
        let (at, earliest) = (basic_time(claim.at), basic_time(now - validity));
        return Err(AuthError::Refused(format!(
            "Signature expired: {at} is now earlier than {earliest} ({} - {})",
            basic_time(now),
            length(validity)
        )));
    }
    if claim.at > now + SKEW {
        let (at, latest) = (basic_time(claim.at), basic_time(now + SKEW));
        return Err(AuthError::Refused(format!(
            "Signature not yet current: {at} is still later than {latest} ({} + {})",
            basic_time(now),
            length(SKEW)
        )));
    }
    Ok(())
}

fn length(validity: Duration) -> String {
    let seconds = validity.whole_seconds();
    if seconds % 60 == 0 { format!("{} min.", seconds / 60) } else { format!("{seconds} sec.") }
}

/// The hash that the request promises for its body, if it does.
fn promised_hash(parts: &Parts, claim: &Claim) -> Result<Option<String>, AuthError> {
    let header = parts.headers.get("x-amz-content-sha256");
    let promised = match header {
        Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()),
        None => claim.payload_hash.clone(),
    };
    match promised {
        Some(text) if text.starts_with("STREAMING-") => Err(AuthError::Refused(format!(
            "'{text}' is not a valid value for 'X-Amz-Content-Sha256': chunked uploads are not supported."
        ))),
        promised => Ok(promised),
    }
}

fn check_signature(parts: &Parts, claim: &Claim, signer: &Signer, payload_hash: &str) -> Result<(), AuthError> {
    let canonical = canonical_request(&CanonicalParts {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        signed_headers: &claim.signed_headers,
        payload_hash,
    });
    let expected = signer.sign(&claim.scope, &basic_time(claim.at), &canonical);
    if bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
        Ok(())
    } else {
        // A token stands in the canonical request; it goes to no log.
        let shown = if claim.session_token.is_some() { "(has a session token)" } else { canonical.as_str() };
        tracing::debug!(key = %claim.key_id, canonical = shown, "signature does not match");
        Err(AuthError::Mismatch)
    }
}

/// The caller when nothing is checked: any program of this machine, but no web page that is open in its browser. A page
/// of another site shows by its `Origin`, one that took over a name of its own for a loopback address by the `Host`.
pub(crate) fn unchecked(parts: &Parts, default_account: &str) -> Result<Principal, AuthError> {
    let host = parts.headers.get(http::header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    if parts.headers.contains_key(http::header::ORIGIN) || host.is_some_and(|host| !is_this_machine(&host)) {
        let text = "Requests of web pages are refused while `auth` is \"off\".";
        return Err(AuthError::Refused(text.to_owned()));
    }
    let key_id = authorization::key_id(&parts.headers, parts.uri.query().unwrap_or_default());
    Ok(Principal::unchecked(key_id.as_deref(), default_account))
}

/// Whether a `Host` is an address or a name that nobody can point elsewhere.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => return address.split(']').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => host.split(':').next().unwrap_or_default().to_ascii_lowercase(),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{is_this_machine, unchecked};
    use http::Request;

    #[test]
    fn only_names_that_mean_this_machine_are_taken_for_it() {
        let check = |host: &str, expected| assert_eq!(is_this_machine(host), expected, "{host}");
        check("127.0.0.1:9000", true);
        check("[::1]:9000", true);
        check("localhost", true);
        check("LOCALHOST:9000", true);
        check("x.lambda-url.us-east-1.localhost:9000", true);
        check("evil.example:9000", false);
        check("localhost.evil.example", false);
        check("[x", false);
        check("", false);
    }

    #[test]
    fn without_checking_programs_are_believed_and_web_pages_are_not() {
        let check = |headers: &[(&str, &str)], expected: bool| {
            let mut request = Request::post("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(unchecked(&parts, "000000000000").is_ok(), expected, "{headers:?}");
        };
        check(&[("host", "127.0.0.1:9000")], true);
        check(&[], true);
        check(&[("host", "127.0.0.1:9000"), ("origin", "http://evil.example")], false);
        check(&[("host", "127.0.0.1:9000"), ("origin", "null")], false);
        check(&[("host", "evil.example:9000")], false);
    }
}
