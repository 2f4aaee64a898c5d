use thiserror::Error;

use crate::{Architecture, CodeDigest, FunctionCode, Policy, Runtime};

/// Which layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey {
    /// Twelve digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
    /// 1-140 characters of `[a-zA-Z0-9-_]`, validated at the edge.
    pub name: String,
}

/// The text is no ARN of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not the ARN of a layer version")]
pub struct ParseLayerArnError(String);

impl LayerKey {
    /// `arn:aws:lambda:<region>:<account>:layer:<name>`.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{}", self.region, self.account, self.name)
    }

    /// The ARN with the number of a version.
    #[must_use]
    pub fn version_arn(&self, version: u64) -> String {
        format!("{}:{version}", self.arn())
    }

    /// Reads the ARN of a layer; `None` for anything else.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "lambda", region, account, "layer", name] = parts.as_slice() else { return None };
        let is_word = |text: &str, also: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
        };
        let sound = partition.starts_with("aws")
            && is_word(region, b"-")
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_word(name, b"-_");
        let key = || Self { account: (*account).to_owned(), region: (*region).to_owned(), name: (*name).to_owned() };
        sound.then(key)
    }

    /// Reads the ARN of a version of a layer.
    pub fn of_version_arn(arn: &str) -> Result<(Self, u64), ParseLayerArnError> {
        let invalid = || ParseLayerArnError(arn.to_owned());
        let (layer, version) = arn.rsplit_once(':').ok_or_else(invalid)?;
        let version = version.parse().map_err(|_not_a_number| invalid())?;
        Self::of_arn(layer).map(|key| (key, version)).ok_or_else(invalid)
    }
}

/// A version of a layer as a function refers to it. It works on when the version is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerReference {
    /// Which layer.
    pub key: LayerKey,
    /// Number of the version.
    pub version: u64,
    /// Its package.
    pub code: FunctionCode,
}

impl LayerReference {
    /// ARN of the version.
    #[must_use]
    pub fn arn(&self) -> String {
        self.key.version_arn(self.version)
    }
}

/// One immutable version of a layer; only its policy changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerVersion {
    /// Its package.
    pub code: FunctionCode,
    /// Up to 256 characters.
    pub description: Option<String>,
    /// Up to 512 characters.
    pub license: Option<String>,
    /// At most 15; nothing is refused by them.
    pub compatible_runtimes: Vec<Runtime>,
    /// At most two; nothing is refused by them.
    pub compatible_architectures: Vec<Architecture>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Which other accounts may use it.
    pub policy: Policy,
    /// Brought from elsewhere: every account of the server may use it.
    pub imported: bool,
}

/// The digest that stands for layers shown as one directory, the later ones on top; `None` when there are none.
#[must_use]
pub fn merged_digest(layers: &[CodeDigest]) -> Option<CodeDigest> {
    match layers {
        [] => None,
        [only] => Some(*only),
        several => {
            // No zip file begins like this.
            let names: Vec<String> = several.iter().map(|digest| digest.to_hex()).collect();
            Some(CodeDigest::of(format!("merged layers: {}", names.join(" ")).as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CodeDigest, LayerKey, merged_digest};

    #[test]
    fn arns_of_versions_are_read_and_written() {
        let arn = "arn:aws:lambda:eu-west-3:123456789012:layer:my-layer_1:12";
        let (key, version) = LayerKey::of_version_arn(arn).unwrap();
        assert_eq!((key.account.as_str(), key.name.as_str(), version), ("123456789012", "my-layer_1", 12));
        assert_eq!(key.version_arn(version), arn);
        for wrong in [
            "",
            "arn:aws:lambda:eu-west-3:123456789012:layer:my-layer",
            "arn:aws:lambda:eu-west-3:123456789012:layer:my-layer:x",
            "arn:aws:lambda:eu-west-3:123456789012:function:f:1",
            "arn:aws:lambda:eu/west:123456789012:layer:l:1",
            "arn:aws:lambda:eu-west-3:12345678901:layer:l:1",
            "arn:aws:lambda:eu-west-3:123456789012:layer:../l:1",
            "arn:aws:lambda:eu-west-3:123456789012:layer:l:99999999999999999999999",
        ] {
            assert!(LayerKey::of_version_arn(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_order_of_layers_decides_on_what_they_are_together() {
        let (first, second) = (CodeDigest::of(b"1"), CodeDigest::of(b"2"));
        assert_eq!(merged_digest(&[]), None);
        assert_eq!(merged_digest(&[first]), Some(first));
        assert_ne!(merged_digest(&[first, second]), merged_digest(&[second, first]));
        assert_eq!(merged_digest(&[first, second]), merged_digest(&[first, second]));
    }
}
