//! Durable state behind small traits: the catalog of functions, code packages, access keys, accounts, roles, policies.
//!
//! A data directory (0700, one server at a time) holds `wuwei.db` (the embedded database), `master.key` (seals what is
//! secret in it), `packages/` (zip files by digest), `code/` (the same unpacked) and `incoming/` (what is being
//! unpacked). [`KeyValue`] is the seam for a clustered implementation.

mod access_keys;
mod code_signing;
mod egress;
mod error;
mod event_sources;
mod functions;
mod identity;
mod keyvalue;
mod layers;
mod lock;
mod packages;
mod records;
mod schema;
mod sqlite;
mod store;
mod vault;

pub use access_keys::{AccessKey, AccessKeys, DamagedAccessKeyError, DerivedKey, Role};
pub use code_signing::CodeSigningConfigs;
pub use egress::{DamagedEgressError, EgressRules};
pub use error::{OpenStoreError, StoreError};
pub use event_sources::EventSourceMappings;
pub use functions::{AccountUsage, DamagedRecordError, Function, Functions, Guarantee, KnownFunction, RecordError};
pub use identity::{AccountRecord, LogGroupRecord, PolicyRecord, PolicyVersionRecord, RoleRecord};
pub use keyvalue::{Entry, Expected, KeyValue, KeyValueError, Revision};
pub use layers::{Layer, Layers};
pub use lock::{DataDirectoryError, DirectoryLock};
#[cfg(any(test, feature = "fuzzing"))]
pub use packages::fuzzing::package as fuzz_package;
pub use packages::{AdmittedPackage, PackageError, PackageUse, Packages};
pub use records::{Change, DamagedEntryError, Records};
pub use schema::SchemaError;
pub use sqlite::OpenDatabaseError;
pub use store::Store;
pub use vault::{MasterKeyError, UnsealError};
