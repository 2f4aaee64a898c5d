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
        let mut usage = self.final_usage.get().copied().unwrap_or_else(|| self.meter.usage());
        usage.cpu_us = usage.cpu_us.saturating_sub(self.before_us.get().copied().unwrap_or_default());
        usage
    }

    fn begin(&self) {
        if self.before_us.set(self.meter.usage().cpu_us).is_err() {
            tracing::warn!(id = self.id, "a sandbox got its function twice");
        }
        self.meter.reset_peak_memory();
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
