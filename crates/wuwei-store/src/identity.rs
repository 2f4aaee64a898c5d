//! Accounts, roles and policies, as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// An account beside the first, under `account/<twelve digits>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Twelve digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A role, under `role/<account>/<name in lower case>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// As it was given.
    pub name: String,
    /// `/`, or more of it.
    pub path: String,
    /// `AROA` and 17 characters.
    pub id: String,
    /// Who may assume it: a policy document.
    pub trust: String,
    /// For people.
    pub description: Option<String>,
    /// Longest session, in seconds.
    pub session_s_max: u32,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Policy documents by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of policies.
    pub attached: BTreeSet<String>,
    /// By key.
    pub tags: BTreeMap<String, String>,
}

impl RoleRecord {
    /// Where a role is stored: names are the same in whatever case.
    #[must_use]
    pub fn key(account: &str, name: &str) -> String {
        format!("{account}/{}", name.to_ascii_lowercase())
    }

    /// `arn:aws:iam::<account>:role<path><name>`.
    #[must_use]
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }
}

/// A policy that roles can share, under `policy/<account>/<name in lower case>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// As it was given.
    pub name: String,
    /// `/`, or more of it.
    pub path: String,
    /// `ANPA` and 17 characters.
    pub id: String,
    /// What it has said and says, in order of their numbers; never empty.
    pub versions: Vec<PolicyVersionRecord>,
    /// Number of the version that holds.
    pub default_version: u32,
    /// The greatest number that a version has had: none is given twice.
    pub last_version: u32,
    /// For people.
    pub description: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Time of the last change of its versions.
    pub updated_ms: i64,
    /// By key.
    pub tags: BTreeMap<String, String>,
}

/// A version of a policy; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersionRecord {
    /// From 1; `v1` is the first.
    pub number: u32,
    /// The policy document.
    pub document: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl PolicyRecord {
    /// A version of it.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&PolicyVersionRecord> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The document that holds.
    #[must_use]
    pub fn default_document(&self) -> Option<&str> {
        self.version(self.default_version).map(|version| version.document.as_str())
    }

    /// Where a policy is stored: names are the same in whatever case.
    #[must_use]
    pub fn key(account: &str, name: &str) -> String {
        format!("{account}/{}", name.to_ascii_lowercase())
    }

    /// `arn:aws:iam::<account>:policy<path><name>`.
    #[must_use]
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:policy{}{}", self.path, self.name)
    }
}

/// What somebody has said of a log group, under `log-group/<account>/<region>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroupRecord {
    /// Its name.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// How long its logs are kept, where somebody has said so.
    pub retention_days: Option<u32>,
    /// By key.
    pub tags: BTreeMap<String, String>,
}

impl LogGroupRecord {
    /// Where a group is stored.
    #[must_use]
    pub fn key(account: &str, region: &str, name: &str) -> String {
        format!("{account}/{region}/{name}")
    }
}
