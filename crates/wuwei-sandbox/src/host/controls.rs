use std::sync::{Arc, OnceLock};

use super::client::LauncherClient;
use crate::cgroup::Meter;
use crate::defence::{Defence, Defences};
use crate::instance::Usage;
use crate::process::ProcessControls;

/// Levers on one sandbox; dropping them kills it.
pub(super) struct RemoteControls {
    pub(super) id: u64,
    pub(super) meter: Meter,
    /// Known once it has ended.
    pub(super) final_usage: Arc<OnceLock<Usage>>,
    pub(super) client: Arc<LauncherClient>,
    pub(super) defences: Defences,
    /// CPU time before it got its function, in microseconds.
    pub(super) before_us: OnceLock<u64>,
}

impl ProcessControls for RemoteControls {
    fn usage(&self) -> Usage {
        Usage { cpu_us: self.cpu_us(), peak_memory_bytes: self.peak_memory_bytes() }
    }

    fn begin(&self) {
        if self.before_us.set(self.meter.cpu_us()).is_err() {
            tracing::warn!(id = self.id, "a sandbox got its function twice");
        }
        self.meter.reset_peak_memory();
    }

    fn cpu_us(&self) -> u64 {
        let all = self.final_usage.get().map_or_else(|| self.meter.cpu_us(), |usage| usage.cpu_us);
        all.saturating_sub(self.before_us.get().copied().unwrap_or_default())
    }

    fn peak_memory_bytes(&self) -> u64 {
        self.final_usage.get().map_or_else(|| self.meter.peak_memory_bytes(), |usage| usage.peak_memory_bytes)
    }

    fn reset_peak_memory(&self) {
        self.meter.reset_peak_memory();
    }

    fn freeze(&self) {
        if self.defences.include(Defence::Freezing) {
            self.meter.set_frozen(true);
        }
    }

    fn thaw(&self) {
        self.meter.set_frozen(false);
    }

    fn kill(&self) {
        self.client.kill(self.id);
    }
}

impl Drop for RemoteControls {
    fn drop(&mut self) {
        self.kill();
    }
}
