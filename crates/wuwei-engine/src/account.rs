//! Concurrency of accounts: how many calls each may have running or waiting.

use std::collections::{BTreeMap, HashMap};

use wuwei_model::FunctionKey;

/// Calls under way, by account and region (AWS's limit is one of both together).
#[derive(Debug)]
pub(crate) struct AccountConcurrency {
    limit: u32,
    running: HashMap<String, BTreeMap<String, u32>>,
    total: usize,
    closed: bool,
}

/// Why a call was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The account's limit is reached.
    Limit,
    /// The engine is shutting down.
    Closed,
}

impl AccountConcurrency {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, running: HashMap::new(), total: 0, closed: false }
    }

    /// Counts a call in; each success must be followed by one [`AccountConcurrency::leave`].
    pub(crate) fn enter(&mut self, key: &FunctionKey) -> Result<(), NotAdmitted> {
        if self.closed {
            return Err(NotAdmitted::Closed);
        }
        if !self.running.contains_key(&key.account) {
            self.running.insert(key.account.clone(), BTreeMap::new());
        }
        let regions = self.running.get_mut(&key.account).expect("inserted above when it was missing");
        let running = match regions.get_mut(&key.region) {
            Some(running) => running,
            None => regions.entry(key.region.clone()).or_insert(0),
        };
        if *running >= self.limit {
            return Err(NotAdmitted::Limit);
        }
        *running += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts a call out.
    pub(crate) fn leave(&mut self, key: &FunctionKey) {
        let running = self.running.get_mut(&key.account).and_then(|regions| regions.get_mut(&key.region));
        *running.expect("a call that leaves has entered") -= 1;
        self.total -= 1;
    }

    /// Admits no further calls.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Calls under way, of all accounts.
    pub(crate) fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountConcurrency, NotAdmitted};
    use wuwei_model::FunctionKey;

    fn key(account: &str, region: &str) -> FunctionKey {
        FunctionKey { account: account.to_owned(), region: region.to_owned(), name: "f".to_owned() }
    }

    #[test]
    fn each_account_has_its_own_limit_in_each_region() {
        let mut concurrency = AccountConcurrency::new(1);
        let here = key("000000000000", "us-east-1");
        concurrency.enter(&here).unwrap();
        assert_eq!(concurrency.enter(&here), Err(NotAdmitted::Limit));
        concurrency.enter(&key("111111111111", "us-east-1")).unwrap();
        concurrency.enter(&key("000000000000", "eu-west-1")).unwrap();
        assert_eq!(concurrency.total(), 3);
        concurrency.leave(&here);
        concurrency.enter(&here).unwrap();
    }

    #[test]
    fn nothing_is_admitted_after_closing() {
        let mut concurrency = AccountConcurrency::new(1);
        concurrency.close();
        assert_eq!(concurrency.enter(&key("000000000000", "us-east-1")), Err(NotAdmitted::Closed));
    }
}
