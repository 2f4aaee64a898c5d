//! What AWS would have charged.

use crate::ledger::Usage;

/// AWS's list price, on demand, in the region `us-east-1`, without free tier, volume tiers and savings plans.
///
/// All in millionths of a millionth of a dollar, so that sums stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceBook {
    /// Of one request.
    pub request: u128,
    /// Of one GB·s on `x86_64`.
    pub x86_gb_second: u128,
    /// Of one GB·s on `arm64`.
    pub arm_gb_second: u128,
    /// Of one GB·s of `/tmp` above its free 512 MB.
    pub storage_gb_second: u128,
    /// Where the prices are from.
    pub source: &'static str,
    /// When they were read.
    pub date: &'static str,
}

/// The prices that bills are made with.
pub const AWS_LIST_PRICE: PriceBook = PriceBook {
    request: 200_000,
    x86_gb_second: 16_666_700,
    arm_gb_second: 13_333_400,
    storage_gb_second: 30_900,
    source: "https://aws.amazon.com/lambda/pricing/ (US East, N. Virginia; first tier; no free tier)",
    date: "2026-11",
};

/// Parts of a bill, in millionths of a millionth of a dollar, each rounded down once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For requests.
    pub requests: u128,
    /// For memory-time.
    pub duration: u128,
    /// For storage above what is free.
    pub storage: u128,
}

impl Price {
    /// All parts.
    #[must_use]
    pub fn total(&self) -> u128 {
        self.requests + self.duration + self.storage
    }
}

impl PriceBook {
    /// What this usage costs. AWS's GB is 1,024 MB.
    #[must_use]
    pub fn price(&self, usage: &Usage) -> Price {
        const MB_MS_PER_GB_SECOND: u128 = 1_024 * 1_000;
        let duration = usage.x86_mb_ms * self.x86_gb_second + usage.arm_mb_ms * self.arm_gb_second;
        Price {
            requests: u128::from(usage.requests) * self.request,
            duration: duration / MB_MS_PER_GB_SECOND,
            storage: usage.storage_mb_ms * self.storage_gb_second / MB_MS_PER_GB_SECOND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AWS_LIST_PRICE, Price};
    use crate::ledger::Usage;

    /// The first example of AWS's price page: 3 million requests of 120 ms with 1,536 MB on x86 are 540,000 GB·s. The
    /// page subtracts its free tier; the list price does not.
    #[test]
    fn a_known_bill_comes_out() {
        let (requests, mb_ms) = (3_000_000, 3_000_000 * 120 * 1_536);
        let usage = Usage { requests, x86_mb_ms: mb_ms, ..Usage::default() };
        let price = AWS_LIST_PRICE.price(&usage);
        let expected = Price { requests: 600_000_000_000, duration: 9_000_018_000_000, storage: 0 };
        assert_eq!(price, expected);
        assert_eq!(price.total(), 9_600_018_000_000);
        let arm = AWS_LIST_PRICE.price(&Usage { arm_mb_ms: mb_ms, ..Usage::default() });
        assert_eq!(arm.duration, 7_200_036_000_000);
        let storage = AWS_LIST_PRICE.price(&Usage { storage_mb_ms: 1_024_000_000, ..Usage::default() });
        assert_eq!(storage.storage, 30_900_000);
    }
}
