//! How layers are written down.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wuwei_model::{Architecture, CodeDigest, FunctionCode, LayerKey, LayerVersion, Runtime};

use super::Layer;
use crate::functions::{DamagedRecordError, RecordError, StoredArchitecture, StoredPolicy, damaged, encode};

/// A layer as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct LayerRecord {
    last: u64,
    versions: BTreeMap<u64, StoredVersion>,
}

#[derive(Serialize, Deserialize)]
struct StoredVersion {
    code_sha256: String,
    code_size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runtimes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<StoredArchitecture>,
    created_ms: i64,
    policy: StoredPolicy,
    imported: bool,
}

impl LayerRecord {
    pub(super) fn new(layer: &Layer) -> Self {
        let versions = layer.versions.iter().map(|(number, version)| (*number, StoredVersion::new(version)));
        Self { last: layer.last, versions: versions.collect() }
    }

    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<Self, DamagedRecordError> {
        serde_json::from_slice(bytes).map_err(|source| damaged(key, RecordError::Text(source)))
    }

    pub(super) fn code_bytes(&self) -> u64 {
        self.versions.values().map(|version| version.code_size_bytes).sum()
    }

    pub(super) fn digests(&self, key: &str) -> Result<Vec<CodeDigest>, DamagedRecordError> {
        self.versions.values().map(|version| version.digest(key)).collect()
    }

    pub(super) fn into_layer(self, layer: LayerKey, key: &str) -> Result<Layer, DamagedRecordError> {
        let versions = self.versions.into_iter().map(|(number, stored)| Ok((number, stored.into_version(key)?)));
        Ok(Layer { key: layer, last: self.last, versions: versions.collect::<Result<_, DamagedRecordError>>()? })
    }
}

impl StoredVersion {
    fn new(version: &LayerVersion) -> Self {
        // Taken apart in full: a field added to the model does not compile here until somebody decides.
        let LayerVersion {
            code: FunctionCode { digest, size_bytes },
            description,
            license,
            compatible_runtimes,
            compatible_architectures,
            created_ms,
            policy,
            imported,
        } = version;
        Self {
            code_sha256: digest.to_string(),
            code_size_bytes: *size_bytes,
            description: description.clone(),
            license: license.clone(),
            runtimes: compatible_runtimes.iter().map(|runtime| runtime.as_str().to_owned()).collect(),
            architectures: compatible_architectures.iter().copied().map(StoredArchitecture::from).collect(),
            created_ms: *created_ms,
            policy: StoredPolicy::new(policy),
            imported: *imported,
        }
    }

    fn digest(&self, key: &str) -> Result<CodeDigest, DamagedRecordError> {
        self.code_sha256.parse().map_err(|source| damaged(key, RecordError::Digest(source)))
    }

    fn into_version(self, key: &str) -> Result<LayerVersion, DamagedRecordError> {
        Ok(LayerVersion {
            code: FunctionCode { digest: self.digest(key)?, size_bytes: self.code_size_bytes },
            description: self.description,
            license: self.license,
            compatible_runtimes: self.runtimes.into_iter().map(Runtime::new).collect(),
            compatible_architectures: self.architectures.into_iter().map(Architecture::from).collect(),
            created_ms: self.created_ms,
            policy: self.policy.into_policy(),
            imported: self.imported,
        })
    }
}
