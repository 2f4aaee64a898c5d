//! How functions are written down: JSON of our own types, so that a change of the model is a decision about the disk.
//!
//! A field that is added later needs `#[serde(default)]` and, since an older binary would drop it when it writes the
//! record back, a step of the schema (see [`crate::schema`]). None of these types has a `Debug` that shows a value.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wuwei_model::{
    Architecture, Attachments, CodeDigest, EnvironmentVariables, ExecutionRole, FunctionCode, FunctionKey,
    FunctionSettings, FunctionVersion, LastUpdateStatus, LoggingConfig, ParseCodeDigestError, Runtime, State, Version,
};

use super::access::{StoredPolicy, StoredUrl};
use super::attachments::{StoredAttachments, StoredLayerReference};
use super::controls::StoredControls;
use super::logging::StoredLogging;
use super::{DamagedRecordError, Function, Guarantee, encode};
use crate::vault::{UnsealError, Vault};

/// What is wrong with a record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Its key has too few components.
    #[error("its key has too few components")]
    Key,
    /// It is not the JSON that it should be.
    #[error("its text cannot be read")]
    Text(#[source] serde_json::Error),
    /// Its digest of the code is none.
    #[error("its code digest cannot be read")]
    Digest(#[source] ParseCodeDigestError),
    /// What is sealed in it does not open.
    #[error("its sealed part does not open")]
    Sealed(#[source] UnsealError),
}

/// An aggregate as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct FunctionRecord {
    pub(super) generation: String,
    pub(super) last_published: u64,
    /// Published versions: number, and the last component of the key that holds the version.
    pub(super) versions: BTreeMap<u64, String>,
    pub(super) latest: VersionRecord,
    /// By qualifier; since schema 3.
    #[serde(default)]
    urls: BTreeMap<String, StoredUrl>,
    /// By qualifier; since schema 3.
    #[serde(default)]
    policies: BTreeMap<String, StoredPolicy>,
    /// Since schema 4.
    #[serde(default)]
    controls: StoredControls,
}

/// A version as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct VersionRecord {
    /// `None` is `$LATEST`.
    version: Option<u64>,
    runtime: String,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_id: Option<String>,
    handler: String,
    description: String,
    timeout_s: u32,
    memory_mb: u32,
    ephemeral_mb: u32,
    /// JSON object of the variables, sealed under the key of the record.
    sealed_environment: Option<String>,
    architecture: StoredArchitecture,
    /// Absent where it says nothing, and in records that were written before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logging: Option<StoredLogging>,
    /// In order; since schema 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<StoredLayerReference>,
    /// Absent where it says nothing; since schema 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attachments: Option<StoredAttachments>,
    /// Since schema 7.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    isolates_tenants: bool,
    code_sha256: String,
    code_size_bytes: u64,
    last_modified_ms: i64,
    revision_id: String,
    state: StoredState,
    state_reason: Option<String>,
    last_update_status: StoredUpdateStatus,
    last_update_reason: Option<String>,
}

/// An instruction set as it is stored.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum StoredArchitecture {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "arm64")]
    Arm64,
}

impl From<Architecture> for StoredArchitecture {
    fn from(architecture: Architecture) -> Self {
        match architecture {
            Architecture::X86_64 => Self::X86_64,
            Architecture::Arm64 => Self::Arm64,
        }
    }
}

impl From<StoredArchitecture> for Architecture {
    fn from(stored: StoredArchitecture) -> Self {
        match stored {
            StoredArchitecture::X86_64 => Self::X86_64,
            StoredArchitecture::Arm64 => Self::Arm64,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum StoredState {
    Pending,
    Active,
    Failed,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum StoredUpdateStatus {
    Successful,
    Failed,
    InProgress,
}

impl FunctionRecord {
    /// A record without published versions, to be kept under `key`.
    pub(super) fn new(function: &Function, key: &str, vault: &Vault) -> Self {
        let Function { latest, last_published, generation, urls, policies, .. } = function;
        Self {
            generation: generation.clone(),
            last_published: *last_published,
            versions: BTreeMap::new(),
            latest: VersionRecord::new(latest, key, vault),
            urls: urls.iter().map(|(qualifier, url)| (qualifier.clone(), StoredUrl::new(url))).collect(),
            policies: policies
                .iter()
                .map(|(qualifier, policy)| (qualifier.clone(), StoredPolicy::new(policy)))
                .collect(),
            controls: StoredControls::of(function),
        }
    }

    /// Takes over what only publishing and deleting versions may change.
    pub(super) fn with_versions_of(self, stored: Self) -> Self {
        Self { latest: self.latest, urls: self.urls, policies: self.policies, controls: self.controls, ..stored }
    }

    /// Ids of all URLs.
    pub(super) fn url_ids(&self) -> impl Iterator<Item = &str> {
        self.urls.values().map(StoredUrl::id)
    }

    /// A version with the revision that the last change of its policy gave it.
    pub(super) fn with_policy_revision(&self, mut version: FunctionVersion) -> FunctionVersion {
        let policy = self.policies.get(&version.version.to_string());
        if let Some(revision_id) = policy.and_then(StoredPolicy::revision_id) {
            revision_id.clone_into(&mut version.revision_id);
        }
        version
    }

    /// Removes what is kept for a version that goes.
    pub(super) fn drop_qualifier(&mut self, qualifier: &str) {
        self.policies.remove(qualifier);
        self.controls.drop_qualifier(qualifier);
    }

    /// Names of the aliases that may lead to a version.
    pub(super) fn aliases_of(&self, number: u64) -> Vec<String> {
        self.controls.aliases_of(number)
    }

    /// Concurrency that is kept for the function.
    pub(super) fn guarantee(&self) -> Guarantee {
        Guarantee {
            reserved: self.controls.reserved_concurrency(),
            provisioned: self.controls.provisioned_concurrency(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<Self, DamagedRecordError> {
        serde_json::from_slice(bytes).map_err(|source| damaged(key, RecordError::Text(source)))
    }

    pub(super) fn into_function(
        self,
        function: &FunctionKey,
        key: &str,
        vault: &Vault,
    ) -> Result<Function, DamagedRecordError> {
        let mut restored = Function::new(self.latest.into_version(function, key, vault)?, self.generation);
        restored.last_published = self.last_published;
        restored.urls = self.urls.into_iter().map(|(qualifier, url)| (qualifier, url.into_url())).collect();
        let policies = self.policies.into_iter();
        restored.policies = policies.map(|(qualifier, policy)| (qualifier, policy.into_policy())).collect();
        self.controls.restore(&mut restored);
        Ok(restored)
    }
}

impl VersionRecord {
    /// A record to be kept under `key`.
    pub(super) fn new(function: &FunctionVersion, key: &str, vault: &Vault) -> Self {
        // Taken apart in full: a field added to the model does not compile here until somebody decides.
        let FunctionVersion {
            key: _,
            version,
            settings,
            code,
            last_modified_ms,
            revision_id,
            state,
            state_reason,
            last_update_status,
            last_update_reason,
        } = function;
        let FunctionSettings {
            runtime,
            role,
            handler,
            description,
            timeout_s,
            memory_mb,
            ephemeral_mb,
            environment,
            architecture,
            logging,
            layers,
            attachments,
            isolates_tenants,
        } = settings;
        let FunctionCode { digest, size_bytes } = code;
        Self {
            version: match version {
                Version::Latest => None,
                Version::Published(number) => Some(*number),
            },
            runtime: runtime.as_str().to_owned(),
            role: role.arn.clone(),
            role_id: role.id.clone(),
            handler: handler.clone(),
            description: description.clone(),
            timeout_s: *timeout_s,
            memory_mb: *memory_mb,
            ephemeral_mb: *ephemeral_mb,
            sealed_environment: environment.as_ref().map(|variables| vault.seal(key, &encode(variables.as_map()))),
            architecture: StoredArchitecture::from(*architecture),
            logging: StoredLogging::of(logging),
            layers: layers.iter().map(StoredLayerReference::new).collect(),
            attachments: StoredAttachments::of(attachments),
            isolates_tenants: *isolates_tenants,
            code_sha256: digest.to_string(),
            code_size_bytes: *size_bytes,
            last_modified_ms: *last_modified_ms,
            revision_id: revision_id.clone(),
            state: match state {
                State::Pending => StoredState::Pending,
                State::Active => StoredState::Active,
                State::Failed => StoredState::Failed,
            },
            state_reason: state_reason.clone(),
            last_update_status: match last_update_status {
                LastUpdateStatus::Successful => StoredUpdateStatus::Successful,
                LastUpdateStatus::Failed => StoredUpdateStatus::Failed,
                LastUpdateStatus::InProgress => StoredUpdateStatus::InProgress,
            },
            last_update_reason: last_update_reason.clone(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<Self, DamagedRecordError> {
        serde_json::from_slice(bytes).map_err(|source| damaged(key, RecordError::Text(source)))
    }

    /// Size of the zip file.
    /// Name of the log group, where one was given.
    pub(super) fn log_group(&self) -> Option<&str> {
        self.logging.as_ref().and_then(StoredLogging::group)
    }

    pub(super) fn code_size_bytes(&self) -> u64 {
        self.code_size_bytes
    }

    /// Packages of its code and of its layers, in order, without opening what is sealed.
    pub(super) fn digests(&self, key: &str) -> Result<Vec<CodeDigest>, DamagedRecordError> {
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.digest().parse().map_err(|source| damaged(key, RecordError::Digest(source))));
        std::iter::once(self.digest(key)).chain(layers).collect()
    }

    /// Digest of the code, without opening what is sealed.
    pub(super) fn digest(&self, key: &str) -> Result<CodeDigest, DamagedRecordError> {
        self.code_sha256.parse().map_err(|source| damaged(key, RecordError::Digest(source)))
    }

    pub(super) fn into_version(
        self,
        function: &FunctionKey,
        key: &str,
        vault: &Vault,
    ) -> Result<FunctionVersion, DamagedRecordError> {
        let digest = self.digest(key)?;
        let layers = self.layers.into_iter().map(|layer| layer.into_reference(key));
        let environment = self.sealed_environment.as_deref().map(|sealed| open_environment(sealed, key, vault));
        Ok(FunctionVersion {
            key: function.clone(),
            version: self.version.map_or(Version::Latest, Version::Published),
            settings: FunctionSettings {
                runtime: Runtime::new(self.runtime),
                role: ExecutionRole { arn: self.role, id: self.role_id },
                handler: self.handler,
                description: self.description,
                timeout_s: self.timeout_s,
                memory_mb: self.memory_mb,
                ephemeral_mb: self.ephemeral_mb,
                environment: environment.transpose()?,
                architecture: Architecture::from(self.architecture),
                logging: self.logging.map_or_else(LoggingConfig::default, StoredLogging::into_config),
                layers: layers.collect::<Result<_, _>>()?,
                attachments: self.attachments.map_or_else(Attachments::default, StoredAttachments::into_attachments),
                isolates_tenants: self.isolates_tenants,
            },
            code: FunctionCode { digest, size_bytes: self.code_size_bytes },
            last_modified_ms: self.last_modified_ms,
            revision_id: self.revision_id,
            state: match self.state {
                StoredState::Pending => State::Pending,
                StoredState::Active => State::Active,
                StoredState::Failed => State::Failed,
            },
            state_reason: self.state_reason,
            last_update_status: match self.last_update_status {
                StoredUpdateStatus::Successful => LastUpdateStatus::Successful,
                StoredUpdateStatus::Failed => LastUpdateStatus::Failed,
                StoredUpdateStatus::InProgress => LastUpdateStatus::InProgress,
            },
            last_update_reason: self.last_update_reason,
        })
    }
}

fn open_environment(sealed: &str, key: &str, vault: &Vault) -> Result<EnvironmentVariables, DamagedRecordError> {
    let plain = vault.unseal(key, sealed).map_err(|source| damaged(key, RecordError::Sealed(source)))?;
    let variables = serde_json::from_slice(&plain).map_err(|source| damaged(key, RecordError::Text(source)))?;
    Ok(EnvironmentVariables::new(variables))
}

pub(super) fn damaged_text(key: &str, source: serde_json::Error) -> DamagedRecordError {
    damaged(key, RecordError::Text(source))
}

pub(crate) fn damaged(key: &str, source: RecordError) -> DamagedRecordError {
    DamagedRecordError { key: key.to_owned(), source }
}
