use std::str::FromStr;

/// Who may call a function URL (AWS's `AuthType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlAuthType {
    /// Anybody whom the function's policy lets in.
    None,
    /// Callers who sign their requests.
    AwsIam,
}

/// When a function URL's answer is sent (AWS's `InvokeMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlInvokeMode {
    /// When it is complete.
    Buffered,
    /// Part by part, as the function writes it.
    ResponseStream,
}

/// The text is not a value of the enumeration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not known")]
pub struct UnknownUrlSettingError(String);

impl UrlAuthType {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
        }
    }
}

impl FromStr for UrlAuthType {
    type Err = UnknownUrlSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::None, Self::AwsIam].into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownUrlSettingError(text.to_owned()))
    }
}

impl UrlInvokeMode {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "BUFFERED",
            Self::ResponseStream => "RESPONSE_STREAM",
        }
    }
}

impl FromStr for UrlInvokeMode {
    type Err = UnknownUrlSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Buffered, Self::ResponseStream].into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownUrlSettingError(text.to_owned()))
    }
}

/// Which pages of other origins may call a function URL from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlCors {
    /// Whether the browser may send cookies and credentials; `None` where the deployer said nothing.
    pub allow_credentials: Option<bool>,
    /// Request headers; `*` for any.
    pub allow_headers: Vec<String>,
    /// Methods; `*` for any.
    pub allow_methods: Vec<String>,
    /// Origins such as `https://example.com`; `*` for any.
    pub allow_origins: Vec<String>,
    /// Answer headers that a page may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember a preflight, in seconds.
    pub max_age_s: Option<u32>,
}

/// The URL of a function, or of one of its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionUrl {
    /// First label of its host name: 32 characters of `[a-z0-9]`, never used again.
    pub id: String,
    /// Who may call it.
    pub auth_type: UrlAuthType,
    /// When the answer is sent.
    pub invoke_mode: UrlInvokeMode,
    /// For browsers on pages of other origins.
    pub cors: Option<UrlCors>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::{UrlAuthType, UrlInvokeMode};

    #[test]
    fn settings_are_read_as_they_are_written() {
        for auth_type in [UrlAuthType::None, UrlAuthType::AwsIam] {
            assert_eq!(auth_type.as_str().parse(), Ok(auth_type));
        }
        for invoke_mode in [UrlInvokeMode::Buffered, UrlInvokeMode::ResponseStream] {
            assert_eq!(invoke_mode.as_str().parse(), Ok(invoke_mode));
        }
        "none".parse::<UrlAuthType>().unwrap_err();
        "STREAM".parse::<UrlInvokeMode>().unwrap_err();
    }
}
