//! The machine's memory as the scheduler sees it: a budget that instances reserve from.

/// Sum of the memory settings of all instances, never above its limit.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    limit_mb: u64,
    reserved_mb: u64,
    /// Part of `reserved_mb` that instances on their way out will give back soon.
    stopping_mb: u64,
    instances: usize,
}

impl MemoryBudget {
    pub(crate) fn new(limit_mb: u64) -> Self {
        Self { limit_mb, reserved_mb: 0, stopping_mb: 0, instances: 0 }
    }

    /// Whether an instance of this size could ever run here.
    pub(crate) fn could_hold(&self, memory_mb: u32) -> bool {
        u64::from(memory_mb) <= self.limit_mb
    }

    /// Reserves memory for a new instance; false when it does not fit now.
    pub(crate) fn try_reserve(&mut self, memory_mb: u32) -> bool {
        let fits = self.reserved_mb + u64::from(memory_mb) <= self.limit_mb;
        if fits {
            self.reserved_mb += u64::from(memory_mb);
            self.instances += 1;
        }
        fits
    }

    /// Whether an instance will fit once those that are being stopped are gone.
    pub(crate) fn will_fit(&self, memory_mb: u32) -> bool {
        self.reserved_mb - self.stopping_mb + u64::from(memory_mb) <= self.limit_mb
    }

    /// An instance is being stopped; it holds its memory until [`MemoryBudget::release`].
    pub(crate) fn begin_stop(&mut self, memory_mb: u32) {
        self.stopping_mb += u64::from(memory_mb);
    }

    /// A stopping instance is gone.
    pub(crate) fn release(&mut self, memory_mb: u32) {
        self.stopping_mb -= u64::from(memory_mb);
        self.reserved_mb -= u64::from(memory_mb);
        self.instances -= 1;
    }

    pub(crate) fn reserved_mb(&self) -> u64 {
        self.reserved_mb
    }

    /// Instances that hold memory: starting, busy, idle and stopping ones.
    pub(crate) fn instances(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryBudget;

    #[test]
    fn memory_is_reserved_up_to_the_limit_and_freed_only_when_an_instance_is_gone() {
        let mut budget = MemoryBudget::new(256);
        assert!(budget.could_hold(256));
        assert!(!budget.could_hold(257));
        assert!(budget.try_reserve(128));
        assert!(budget.try_reserve(128));
        assert!(!budget.try_reserve(1));
        budget.begin_stop(128);
        assert!(!budget.try_reserve(1));
        assert!(budget.will_fit(128));
        assert!(!budget.will_fit(129));
        budget.release(128);
        assert_eq!((budget.reserved_mb(), budget.instances()), (128, 1));
        assert!(budget.try_reserve(128));
    }
}
