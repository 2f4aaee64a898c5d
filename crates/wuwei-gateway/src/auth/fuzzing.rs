//! Heads of requests as a stranger may send them, for the fuzz target `signature`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use sha2::{Digest as _, Sha256};
use wuwei_store::{AccessKey, DerivedKey, Role};

use super::authorization::key_id;
use super::{AuthError, BodyCheck, Verifier, claimed_service, held_by, unchecked};
use crate::sign::{Credentials, sign};

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, the time of the published examples.
const AT_S: u64 = 1_440_938_160;

/// Lines: method, target, then headers (`name: value`); after an empty line the body.
pub fn signature(input: &[u8]) {
    let Some(request) = request_of(input) else { return };
    let (parts, _) = request.clone().into_parts();
    let query = parts.uri.query().unwrap_or_default();
    drop((claimed_service(&parts.headers, query), key_id(&parts.headers, query), unchecked(&parts, "000000000000")));
    // Nobody knows the secret: a request that nobody signed is believed by no way.
    let believed = matches!(verify(&request), Ok(()));
    assert!(!believed, "a request that nobody signed is believed");
    signed_requests_are_believed_as_they_are(request);
}

/// Our own signature holds for what was signed, and for nothing else.
fn signed_requests_are_believed_as_they_are(mut request: Request<Bytes>) {
    request.headers_mut().retain_unsigned();
    let credentials = Credentials { access_key_id: KEY_ID.to_owned(), secret_access_key: SECRET.to_owned() };
    sign(&mut request, &credentials, "us-east-1", "lambda", now());
    // Signing takes the host from an absolute target; without one there is nothing to sign.
    if !request.headers().contains_key(http::header::HOST) {
        return;
    }
    let verdict = verify(&request);
    assert!(verdict.is_ok(), "our own signature is refused: {verdict:?}");
    let mut other = request.clone();
    *other.body_mut() = [request.body(), &b"x"[..]].concat().into();
    assert!(verify(&other).is_err(), "another body is believed");
    let mut other = request.clone();
    *other.method_mut() = if request.method() == http::Method::PUT { http::Method::GET } else { http::Method::PUT };
    assert!(verify(&other).is_err(), "another method is believed");
    let mut other = request.clone();
    other.headers_mut().insert("x-amz-added", HeaderValue::from_static("x"));
    assert!(verify(&other).is_err(), "an added header is believed");
    let mut other = request;
    let target = other.uri().path().to_owned() + "x?" + other.uri().query().unwrap_or_default();
    if let Ok(target) = target.parse() {
        *other.uri_mut() = target;
        assert!(verify(&other).is_err(), "another path is believed");
    }
}

trait RetainUnsigned {
    /// Drops what makes a request signed already, or signed in another way.
    fn retain_unsigned(&mut self);
}

impl RetainUnsigned for http::HeaderMap {
    fn retain_unsigned(&mut self) {
        let names: Vec<HeaderName> = self.keys().cloned().collect();
        for name in names {
            if name == http::header::AUTHORIZATION || name == http::header::DATE || name.as_str().starts_with("x-amz-")
            {
                self.remove(name);
            }
        }
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(AT_S)
}

fn verify(request: &Request<Bytes>) -> Result<(), AuthError> {
    let (parts, body) = request.clone().into_parts();
    let verifier = Verifier { regions: &["us-east-1"], services: &["lambda", "wuwei"], now: now() };
    let key = |id: &str| {
        (id == KEY_ID).then(|| {
            Arc::new(AccessKey {
                id: id.to_owned(),
                secret: SECRET.to_owned(),
                account: "123456789012".to_owned(),
                role: Role::Admin,
                functions: "*".to_owned(),
                created_ms: 0,
                derived: DerivedKey::default(),
            })
        })
    };
    let (_, check): (_, BodyCheck) = verifier.begin(&parts, |claim| held_by(claim, key))?;
    check.finish(&hex::encode(Sha256::digest(&body)))
}

fn request_of(input: &[u8]) -> Option<Request<Bytes>> {
    let (head, body) = match input.windows(2).position(|window| window == b"\n\n") {
        Some(end) => (input.get(..end)?, input.get(end + 2..)?),
        None => (input, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let method = http::Method::from_bytes(lines.next()?).ok()?;
    let target = http::Uri::try_from(lines.next()?).ok()?;
    let mut request = Request::new(Bytes::copy_from_slice(body));
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value.trim_ascii()).ok()?);
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    #[test]
    fn requests_of_the_seeds_are_believed_only_when_they_are_signed() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/signature");
        let mut count = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            super::signature(&bytes);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0x11;
                super::signature(&changed);
            }
            count += 1;
        }
        assert!(count > 2);
    }
}
