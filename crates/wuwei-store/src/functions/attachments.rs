//! How layers, and settings that name things outside Lambda, are written down.

use serde::{Deserialize, Serialize};
use wuwei_model::{Attachments, FileSystem, FunctionCode, LayerKey, LayerReference, VpcNetwork};

use super::DamagedRecordError;
use super::record::{RecordError, damaged};

/// A layer of a version.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredLayerReference {
    account: String,
    region: String,
    name: String,
    version: u64,
    code_sha256: String,
    code_size_bytes: u64,
}

/// What says something of [`Attachments`].
#[derive(Default, Serialize, Deserialize)]
pub(super) struct StoredAttachments {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<StoredNetwork>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    file_systems: Vec<StoredFileSystem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    #[serde(default)]
    traces_actively: bool,
    #[serde(default)]
    snapshots: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredNetwork {
    subnets: Vec<String>,
    security_groups: Vec<String>,
    allows_ipv6: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredFileSystem {
    arn: String,
    mount_path: String,
}

impl StoredLayerReference {
    pub(super) fn new(layer: &LayerReference) -> Self {
        let LayerReference { key: LayerKey { account, region, name }, version, code } = layer.clone();
        let FunctionCode { digest, size_bytes } = code;
        Self { account, region, name, version, code_sha256: digest.to_string(), code_size_bytes: size_bytes }
    }

    pub(super) fn into_reference(self, key: &str) -> Result<LayerReference, DamagedRecordError> {
        let digest = self.code_sha256.parse().map_err(|source| damaged(key, RecordError::Digest(source)))?;
        Ok(LayerReference {
            key: LayerKey { account: self.account, region: self.region, name: self.name },
            version: self.version,
            code: FunctionCode { digest, size_bytes: self.code_size_bytes },
        })
    }

    pub(super) fn digest(&self) -> &str {
        &self.code_sha256
    }
}

impl StoredAttachments {
    /// `None` for what says nothing.
    pub(super) fn of(attachments: &Attachments) -> Option<Self> {
        if *attachments == Attachments::default() {
            return None;
        }
        let Attachments { dead_letter, network, file_systems, kms_key, traces_actively, snapshots } =
            attachments.clone();
        let stored_network = |network: VpcNetwork| {
            let VpcNetwork { subnets, security_groups, allows_ipv6 } = network;
            StoredNetwork { subnets, security_groups, allows_ipv6 }
        };
        let stored_file_system = |FileSystem { arn, mount_path }| StoredFileSystem { arn, mount_path };
        Some(Self {
            dead_letter,
            network: network.map(stored_network),
            file_systems: file_systems.into_iter().map(stored_file_system).collect(),
            kms_key,
            traces_actively,
            snapshots,
        })
    }

    pub(super) fn into_attachments(self) -> Attachments {
        let network = |StoredNetwork { subnets, security_groups, allows_ipv6 }| VpcNetwork {
            subnets,
            security_groups,
            allows_ipv6,
        };
        let file_system = |StoredFileSystem { arn, mount_path }| FileSystem { arn, mount_path };
        Attachments {
            dead_letter: self.dead_letter,
            network: self.network.map(network),
            file_systems: self.file_systems.into_iter().map(file_system).collect(),
            kms_key: self.kms_key,
            traces_actively: self.traces_actively,
            snapshots: self.snapshots,
        }
    }
}
