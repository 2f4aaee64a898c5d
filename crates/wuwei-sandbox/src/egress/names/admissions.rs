use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use wuwei_model::EgressPolicy;

use crate::egress::client::FillerClient;

/// Admissions that are remembered; further ones are asked for each time.
const REMEMBERED_MAX: usize = 10_000;

/// What a name of a list stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Admission {
    pub(super) policy: EgressPolicy,
    /// Sorted.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
}

/// Opens what names stand for: one at a time, so that questions do not keep the filler from making networks, and not
/// again while there is time left.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    /// When to ask for each again.
    until: Mutex<BTreeMap<Admission, Instant>>,
}

impl Admissions {
    /// Returns when it is open for at least half of the time.
    pub(super) async fn admit(
        &self,
        filler: &Weak<FillerClient>,
        admission: Admission,
        seconds: u32,
    ) -> io::Result<()> {
        let mut until = self.until.lock().await;
        let now = Instant::now();
        if until.get(&admission).is_some_and(|until| now < *until) {
            return Ok(());
        }
        let filler = filler.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let Admission { policy, addresses, ports } = admission.clone();
        filler.admit(&policy, addresses, ports, seconds).await?;
        if until.len() >= REMEMBERED_MAX {
            until.retain(|_admission, until| now < *until);
        }
        if until.len() < REMEMBERED_MAX {
            until.insert(admission, now + Duration::from_secs(u64::from(seconds)) / 2);
        }
        Ok(())
    }
}
