//! Why a request is not believed, in AWS's words.

use thiserror::Error;

/// A refused signature; the text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum AuthError {
    /// Nothing to check.
    #[error("Missing Authentication Token")]
    Missing,
    /// The authorization cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// No such key, or a session token that is not believed here.
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    /// Temporary credentials past their time.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// Scope or time are wrong.
    #[error("{0}")]
    Refused(String),
    /// The signature is not the one that we calculate.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl AuthError {
    /// Name of the error in the services that speak JSON.
    pub(crate) fn json_name(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownToken => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::Refused(_) | Self::Mismatch => "InvalidSignatureException",
        }
    }

    /// Name of the error in the services that speak XML (STS).
    pub(crate) fn query_name(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationToken",
            Self::Incomplete(_) => "IncompleteSignature",
            Self::UnknownToken => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
            Self::Refused(_) | Self::Mismatch => "SignatureDoesNotMatch",
        }
    }
}
