use std::collections::BTreeMap;

/// Who may sign the code of functions, and what becomes of code that they have not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSigningConfig {
    /// Twelve digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
    /// `csc-` and 17 characters of `[a-z0-9]`.
    pub id: String,
    /// Up to 256 characters.
    pub description: Option<String>,
    /// ARNs of versions of signing profiles, 1-20.
    pub publishers: Vec<String>,
    /// What becomes of code without a signature of theirs.
    pub untrusted: UntrustedArtifact,
    /// Milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Up to 50.
    pub tags: BTreeMap<String, String>,
}

/// What becomes of code that nobody trusted has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UntrustedArtifact {
    /// It is deployed, and noted.
    #[default]
    Warn,
    /// It is refused.
    Enforce,
}

impl UntrustedArtifact {
    /// AWS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "Warn",
            Self::Enforce => "Enforce",
        }
    }
}

impl CodeSigningConfig {
    /// `arn:aws:lambda:<region>:<account>:code-signing-config:<id>`.
    #[must_use]
    pub fn arn(&self) -> String {
        Self::arn_of(&self.account, &self.region, &self.id)
    }

    /// The id that an ARN of this account and region has in it; `None` for another one.
    #[must_use]
    pub fn id_of<'arn>(account: &str, region: &str, arn: &'arn str) -> Option<&'arn str> {
        let prefix = Self::arn_of(account, region, "");
        arn.strip_prefix(prefix.as_str()).filter(|id| !id.contains(':') && !id.contains('/'))
    }

    fn arn_of(account: &str, region: &str, id: &str) -> String {
        format!("arn:aws:lambda:{region}:{account}:code-signing-config:{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::CodeSigningConfig;

    #[test]
    fn only_arns_of_the_same_account_and_region_have_an_id() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg";
        assert_eq!(CodeSigningConfig::id_of("000000000000", "us-east-1", arn), Some("csc-0123456789abcdefg"));
        assert_eq!(CodeSigningConfig::id_of("000000000001", "us-east-1", arn), None);
        assert_eq!(CodeSigningConfig::id_of("000000000000", "eu-west-1", arn), None);
    }
}
