//! How many bytes of bodies the server holds at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::BodyError;

/// Longest wait for a share.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Memory for bodies of one kind of callers.
#[derive(Debug)]
pub(crate) struct Budget {
    /// One permit a KiB.
    free: Arc<Semaphore>,
    most_kib: u32,
}

/// The right to hold a body; for as long as the last clone lives.
#[derive(Clone, Debug)]
pub(crate) struct Share(Arc<OwnedSemaphorePermit>);

impl Budget {
    pub(crate) fn new(most_kib: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(most_kib as usize)), most_kib }
    }

    /// Waits, not for ever, for the right to hold so many bytes. What is larger than the whole budget gets all of it.
    pub(crate) async fn share(&self, bytes: usize) -> Result<Share, BodyError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(self.most_kib).min(self.most_kib);
        let permit = timeout(WAIT_MAX, Arc::clone(&self.free).acquire_many_owned(kib)).await;
        // An elapsed wait, or (never) a closed semaphore.
        let permit = permit.ok().and_then(Result::ok).ok_or(BodyError::Busy)?;
        Ok(Share(Arc::new(permit)))
    }
}

impl Share {
    /// Gives back what is not needed. Only before it is cloned; does nothing after.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = Arc::get_mut(&mut self.0) {
            let excess = permit.num_permits().saturating_sub(bytes.div_ceil(1024));
            drop(permit.split(excess));
        }
    }

    /// The same bytes, which keep this share until nobody has them any more.
    pub(crate) fn hold(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self.clone() })
    }
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, WAIT_MAX};
    use crate::wire::BodyError;
    use bytes::Bytes;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_a_while_and_is_sent_away() {
        let budget = Budget::new(10);
        let first = budget.share(6 * 1024).await.unwrap();
        let _second = budget.share(4 * 1024).await.unwrap();
        let began = Instant::now();
        assert!(matches!(budget.share(1).await, Err(BodyError::Busy)));
        assert_eq!(began.elapsed(), WAIT_MAX);
        drop(first);
        budget.share(6 * 1024).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_keep_their_share_until_the_last_clone_is_gone() {
        let budget = Budget::new(10);
        let share = budget.share(10 * 1024).await.unwrap();
        let held = share.hold(Bytes::from_static(b"body"));
        drop(share);
        let slice = held.slice(1..2);
        drop(held);
        assert!(matches!(budget.share(1).await, Err(BodyError::Busy)));
        assert_eq!(slice, "o");
        drop(slice);
        budget.share(10 * 1024).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_needed_can_be_given_back() {
        let budget = Budget::new(10);
        let mut share = budget.share(10 * 1024).await.unwrap();
        share.shrink_to(1025);
        let _rest = budget.share(8 * 1024).await.unwrap();
        assert!(matches!(budget.share(1).await, Err(BodyError::Busy)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(10);
        let all = budget.share(1 << 40).await.unwrap();
        assert!(matches!(budget.share(1).await, Err(BodyError::Busy)));
        drop(all);
        budget.share(1).await.unwrap();
    }
}
