use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// SHA-256 of a code package. `Display` is AWS's `CodeSha256`: base64 with padding, 44 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// Digest of the bytes of a package.
    #[must_use]
    pub fn of(package: &[u8]) -> Self {
        Self(Sha256::digest(package).into())
    }

    /// Lower-case hexadecimal form, 64 characters: fit for a file name.
    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
    }

    /// Reads what [`CodeDigest::to_hex`] writes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.bytes().map(|byte| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase()));
        let digits: Vec<u8> =
            digits.map(|digit| digit.and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        <[u8; 32]>::try_from(bytes).ok().filter(|_| rest.is_empty()).map(Self)
    }
}

impl fmt::Display for CodeDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for CodeDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not the base64 form of 32 bytes.
#[derive(Debug, Error)]
#[error("code digest `{0}` is not base64 of 32 bytes")]
pub struct ParseCodeDigestError(String);

impl FromStr for CodeDigest {
    type Err = ParseCodeDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| ParseCodeDigestError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::CodeDigest;

    #[test]
    fn text_form_round_trips_and_matches_a_known_digest() {
        let digest = CodeDigest::of(b"abc");
        assert_eq!(digest.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<CodeDigest>().unwrap(), digest);
        "AAAA".parse::<CodeDigest>().unwrap_err();
    }

    #[test]
    fn the_hexadecimal_form_is_read_back_and_nothing_else_is() {
        let digest = CodeDigest::of(b"package");
        let text = digest.to_hex();
        assert_eq!(CodeDigest::from_hex(&text), Some(digest));
        for other in ["", "ab", &format!("{text}0"), &text.to_uppercase(), &text.replace('0', "g")] {
            assert_eq!(CodeDigest::from_hex(other), None, "{other}");
        }
    }
}
