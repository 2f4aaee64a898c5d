//! Which packages the catalog refers to.

use std::collections::{BTreeMap, HashSet};

use wuwei_model::{CodeDigest, merged_digest};

/// Packages, and what is made of several of them.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Packages of functions and layers.
    pub(crate) packages: HashSet<CodeDigest>,
    /// Layers that are shown as one directory: what stands for them, and they in order.
    pub(crate) merged: BTreeMap<CodeDigest, Vec<CodeDigest>>,
}

impl References {
    /// Adds those of a version: its code, and its layers in order.
    pub(crate) fn add(&mut self, digests: &[CodeDigest]) {
        self.packages.extend(digests);
        if let Some((_code, layers)) = digests.split_first()
            && layers.len() > 1
            && let Some(merged) = merged_digest(layers)
        {
            self.merged.insert(merged, layers.to_vec());
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> HashSet<CodeDigest> {
        self.packages.iter().chain(self.merged.keys()).copied().collect()
    }
}

impl From<HashSet<CodeDigest>> for References {
    fn from(packages: HashSet<CodeDigest>) -> Self {
        Self { packages, merged: BTreeMap::new() }
    }
}
