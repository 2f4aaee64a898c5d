//! Concurrency of accounts: how many calls each may have running or waiting, and what of it is kept for single
//! functions.

use std::collections::{BTreeMap, HashMap};

use wuwei_model::FunctionKey;

/// Calls under way, by account and region (AWS's limit is one of both together).
#[derive(Debug)]
pub(crate) struct AccountConcurrency {
    limit: u32,
    accounts: HashMap<String, BTreeMap<String, Region>>,
    total: usize,
    closed: bool,
}

/// What runs of one account in one region.
#[derive(Debug, Default)]
struct Region {
    /// Functions that were called, or for which something is kept.
    functions: HashMap<String, Load>,
    /// What is kept for single functions.
    kept: u32,
    /// Calls that run on what is not kept for anybody.
    shared: u32,
}

/// What runs of one function.
#[derive(Debug, Default)]
struct Load {
    running: u32,
    guarantee: FunctionConcurrency,
}

/// Concurrency that is kept for one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionConcurrency {
    /// Reserved: so many of its calls run at a time, and no more, whatever others do.
    pub reserved: Option<u32>,
    /// Provisioned: so many run at a time whatever others do; more of them where nothing is reserved.
    pub provisioned: u32,
}

/// Why a call was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// What the account has for functions without a reservation is used up.
    Account,
    /// The function's own reservation is used up.
    Function,
    /// The engine is shutting down.
    Closed,
}

impl FunctionConcurrency {
    /// What others cannot have.
    fn kept(self) -> u32 {
        self.reserved.unwrap_or(self.provisioned)
    }
}

impl AccountConcurrency {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, accounts: HashMap::new(), total: 0, closed: false }
    }

    /// Counts a call in; each success must be followed by one [`AccountConcurrency::leave`].
    pub(crate) fn enter(&mut self, key: &FunctionKey) -> Result<(), NotAdmitted> {
        if self.closed {
            return Err(NotAdmitted::Closed);
        }
        let limit = self.limit;
        let region = self.region(key);
        let room = limit.saturating_sub(region.kept);
        let load = match region.functions.get_mut(&key.name) {
            Some(load) => load,
            None => region.functions.entry(key.name.clone()).or_default(),
        };
        if load.running >= load.guarantee.kept() {
            if load.guarantee.reserved.is_some() {
                return Err(NotAdmitted::Function);
            }
            if region.shared >= room {
                return Err(NotAdmitted::Account);
            }
            region.shared += 1;
        }
        load.running += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts a call out.
    pub(crate) fn leave(&mut self, key: &FunctionKey) {
        let region = self.region(key);
        let load = region.functions.get_mut(&key.name).expect("a call that leaves has entered");
        if load.running > load.guarantee.kept() {
            region.shared -= 1;
        }
        load.running -= 1;
        self.total -= 1;
    }

    /// Keeps concurrency for a function from now on; calls that run already go on.
    pub(crate) fn keep(&mut self, key: &FunctionKey, guarantee: FunctionConcurrency) {
        let region = self.region(key);
        region.functions.entry(key.name.clone()).or_default().guarantee = guarantee;
        region.functions.retain(|_, load| load.running > 0 || load.guarantee != FunctionConcurrency::default());
        let loads = region.functions.values();
        region.kept = loads.clone().map(|load| load.guarantee.kept()).fold(0, u32::saturating_add);
        region.shared = loads.map(|load| load.running.saturating_sub(load.guarantee.kept())).sum();
    }

    /// Admits no further calls.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Calls under way, of all accounts.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    fn region(&mut self, key: &FunctionKey) -> &mut Region {
        if !self.accounts.contains_key(&key.account) {
            self.accounts.insert(key.account.clone(), BTreeMap::new());
        }
        let regions = self.accounts.get_mut(&key.account).expect("inserted above when it was missing");
        if !regions.contains_key(&key.region) {
            regions.insert(key.region.clone(), Region::default());
        }
        regions.get_mut(&key.region).expect("inserted above when it was missing")
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountConcurrency, FunctionConcurrency, NotAdmitted};
    use wuwei_model::FunctionKey;

    fn key(account: &str, region: &str) -> FunctionKey {
        FunctionKey { account: account.to_owned(), region: region.to_owned(), name: "f".to_owned() }
    }

    fn named(name: &str) -> FunctionKey {
        FunctionKey { name: name.to_owned(), ..key("000000000000", "us-east-1") }
    }

    fn reserved(reserved: u32) -> FunctionConcurrency {
        FunctionConcurrency { reserved: Some(reserved), provisioned: 0 }
    }

    fn provisioned(provisioned: u32) -> FunctionConcurrency {
        FunctionConcurrency { reserved: None, provisioned }
    }

    /// Enters until refused.
    fn fill(concurrency: &mut AccountConcurrency, key: &FunctionKey) -> (u32, NotAdmitted) {
        (0..).find_map(|entered| Some((entered, concurrency.enter(key).err()?))).expect("there is a limit")
    }

    #[test]
    fn each_account_has_its_own_limit_in_each_region() {
        let mut concurrency = AccountConcurrency::new(1);
        let here = key("000000000000", "us-east-1");
        concurrency.enter(&here).unwrap();
        assert_eq!(concurrency.enter(&here), Err(NotAdmitted::Account));
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

    #[test]
    fn a_function_has_what_is_reserved_and_no_more_and_the_others_have_the_rest() {
        let mut concurrency = AccountConcurrency::new(10);
        concurrency.keep(&named("r"), reserved(4));
        assert_eq!(fill(&mut concurrency, &named("other")), (6, NotAdmitted::Account));
        assert_eq!(fill(&mut concurrency, &named("r")), (4, NotAdmitted::Function));
        concurrency.leave(&named("r"));
        assert_eq!(concurrency.enter(&named("other")), Err(NotAdmitted::Account));
        concurrency.enter(&named("r")).unwrap();
        concurrency.keep(&named("r"), reserved(0));
        assert_eq!(concurrency.enter(&named("r")), Err(NotAdmitted::Function));
    }

    #[test]
    fn a_function_with_provisioned_concurrency_may_run_beyond_it() {
        let mut concurrency = AccountConcurrency::new(10);
        concurrency.keep(&named("p"), provisioned(3));
        assert_eq!(fill(&mut concurrency, &named("other")), (7, NotAdmitted::Account));
        assert_eq!(fill(&mut concurrency, &named("p")), (3, NotAdmitted::Account));
        for _ in 0..2 {
            concurrency.leave(&named("other"));
        }
        assert_eq!(fill(&mut concurrency, &named("p")), (2, NotAdmitted::Account));
    }

    #[test]
    fn calls_that_run_while_a_reservation_changes_are_counted_once() {
        let mut concurrency = AccountConcurrency::new(10);
        for _ in 0..5 {
            concurrency.enter(&named("f")).unwrap();
        }
        concurrency.keep(&named("f"), reserved(2));
        // Three of its calls run on what is shared until they end.
        assert_eq!(fill(&mut concurrency, &named("other")), (5, NotAdmitted::Account));
        for _ in 0..5 {
            concurrency.leave(&named("f"));
        }
        assert_eq!(fill(&mut concurrency, &named("other")), (3, NotAdmitted::Account));
        concurrency.keep(&named("f"), FunctionConcurrency::default());
        assert_eq!(fill(&mut concurrency, &named("f")), (2, NotAdmitted::Account));
        for _ in 0..8 {
            concurrency.leave(&named("other"));
        }
        for _ in 0..2 {
            concurrency.leave(&named("f"));
        }
        assert_eq!((concurrency.total(), fill(&mut concurrency, &named("f")).0), (0, 10));
    }
}
