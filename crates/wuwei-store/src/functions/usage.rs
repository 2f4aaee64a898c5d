//! What an account has: counted when somebody asks, which is rare, so that no counter can be wrong.

use std::collections::BTreeMap;

use serde::Deserialize;
use wuwei_model::FunctionKey;

use super::record::{FunctionRecord, damaged_text};
use super::{Functions, parse_function_key};
use crate::StoreError;

/// Totals of an account in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountUsage {
    /// Functions, not their versions.
    pub functions: u64,
    /// Packages of all versions, in bytes; one that several versions share counts for each.
    pub code_bytes: u64,
    /// Concurrency that is kept for single functions, by function.
    pub guarantees: BTreeMap<String, Guarantee>,
}

/// Concurrency that is kept for one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarantee {
    /// Reserved: as much as it has, and no more than it gets.
    pub reserved: Option<u32>,
    /// Provisioned, over all its versions and aliases.
    pub provisioned: u32,
}

impl Guarantee {
    /// What others cannot have.
    #[must_use]
    pub fn total(self) -> u32 {
        self.reserved.unwrap_or(self.provisioned)
    }
}

impl AccountUsage {
    /// What is kept for all functions but one.
    #[must_use]
    pub fn guaranteed_to_others(&self, name: &str) -> u32 {
        let others = self.guarantees.iter().filter(|(other, _)| *other != name);
        others.map(|(_, guarantee)| guarantee.total()).fold(0, u32::saturating_add)
    }

    /// What is kept for single functions.
    #[must_use]
    pub fn guaranteed(&self) -> u32 {
        self.guarantees.values().map(|guarantee| guarantee.total()).fold(0, u32::saturating_add)
    }
}

/// Of a version's record, what counts here.
#[derive(Deserialize)]
struct SizeRecord {
    code_size_bytes: u64,
}

impl Functions {
    /// What an account has in a region.
    pub async fn usage(&self, account: &str, region: &str) -> Result<AccountUsage, StoreError> {
        let mut usage = AccountUsage::default();
        for entry in self.all(&format!("function/{account}/{region}/")).await? {
            let record = FunctionRecord::decode(&entry.key, &entry.value)?;
            usage.functions += 1;
            usage.code_bytes += record.latest.code_size_bytes();
            let guarantee = record.guarantee();
            if guarantee != Guarantee::default() {
                usage.guarantees.insert(parse_function_key(&entry.key)?.name, guarantee);
            }
        }
        for entry in self.all(&format!("version/{account}/{region}/")).await? {
            let size: SizeRecord =
                serde_json::from_slice(&entry.value).map_err(|source| damaged_text(&entry.key, source))?;
            usage.code_bytes += size.code_size_bytes;
        }
        Ok(usage)
    }

    /// Functions of an account in a region, and the group that the log of each belongs to now.
    pub async fn log_groups(&self, account: &str, region: &str) -> Result<Vec<(FunctionKey, String)>, StoreError> {
        let mut found = Vec::new();
        for entry in self.all(&format!("function/{account}/{region}/")).await? {
            let record = FunctionRecord::decode(&entry.key, &entry.value)?;
            let key = parse_function_key(&entry.key)?;
            let group = record.latest.log_group().map_or_else(|| format!("/aws/lambda/{}", key.name), str::to_owned);
            found.push((key, group));
        }
        Ok(found)
    }

    /// Accounts that have functions.
    pub async fn accounts(&self) -> Result<Vec<String>, StoreError> {
        let mut accounts: Vec<String> = Vec::new();
        loop {
            // Behind all of the last account: `0` comes after `/`.
            let after = accounts.last().map(|account| format!("function/{account}0"));
            let Some(entry) = self.store.list("function/", after.as_deref(), 1).await?.into_iter().next() else {
                return Ok(accounts);
            };
            accounts.push(parse_function_key(&entry.key)?.account);
        }
    }

    /// Functions of all accounts for which some concurrency is kept.
    pub async fn guarantees(&self) -> Result<Vec<(FunctionKey, Guarantee)>, StoreError> {
        let mut found = Vec::new();
        for entry in self.all("function/").await? {
            let guarantee = FunctionRecord::decode(&entry.key, &entry.value)?.guarantee();
            if guarantee != Guarantee::default() {
                found.push((parse_function_key(&entry.key)?, guarantee));
            }
        }
        Ok(found)
    }
}
