//! From a canonical request to a signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Stands for the hash of a body that the signature does not cover.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// SHA-256 of nothing.
pub(crate) const EMPTY_BODY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `20150830`.
    pub(crate) date: String,
    /// For example `us-east-1`.
    pub(crate) region: String,
    /// For example `lambda`.
    pub(crate) service: String,
}

impl Scope {
    /// `20150830/us-east-1/lambda/aws4_request`.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// Signature of a canonical request, 64 hexadecimal digits.
pub(crate) fn sign_canonical(secret: &str, scope: &Scope, time: &str, canonical_request: &str) -> String {
    sign_with(&signing_key(secret, scope), &scope.text(), time, canonical_request)
}

/// The same with a key that is derived already, for the scope of this text.
pub(super) fn sign_with(key: &[u8; 32], scope: &str, time: &str, canonical_request: &str) -> String {
    let hash = hex::encode(Sha256::digest(canonical_request.as_bytes()));
    hex::encode(hmac(key, &format!("{ALGORITHM}\n{time}\n{scope}\n{hash}")))
}

/// The key that a secret gives for a scope.
pub(super) fn signing_key(secret: &str, scope: &Scope) -> [u8; 32] {
    let key = hmac(format!("AWS4{secret}").as_bytes(), &scope.date);
    [&scope.region, &scope.service, "aws4_request"].into_iter().fold(key, |key, part| hmac(&key, part))
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}
