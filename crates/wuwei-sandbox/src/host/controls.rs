use std::sync::Arc;

use super::client::LauncherClient;
use crate::cgroup::Meter;
use crate::instance::Usage;
use crate::process::ProcessControls;

/// Levers on one sandbox; dropping them kills it.
pub(super) struct RemoteControls {
    pub(super) id: u64,
    pub(super) meter: Meter,
    pub(super) client: Arc<LauncherClient>,
}

impl ProcessControls for RemoteControls {
    fn usage(&self) -> Usage {
        self.meter.usage()
    }

    fn reset_peak_memory(&self) {
        self.meter.reset_peak_memory();
    }

    fn freeze(&self) {
        self.meter.set_frozen(true);
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
