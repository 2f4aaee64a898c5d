//! Instances out of the stock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{LAYERS, Sandbox, serve_relay, set_path};
use crate::defence::Defences;
use crate::frames::{self, Assignment};
use crate::instance::{ExpectedInstance, Instance, InstanceSpec};
use crate::launcher::{Bind, RELAY_PORT, RUNTIME_API_PORT};
use crate::relay::{Relay, announce};
use crate::runtimes::{RuntimeLayout, instance_of};
use crate::stock::{Becoming, Blank, Profile, Wanted};

/// Where a function's code is, and where it starts.
const TASK: &str = "/var/task";

impl Sandbox {
    /// Says that such an instance may be asked for soon.
    pub(super) fn stock_for(&self, expected: &ExpectedInstance) {
        let Some(stock) = &self.stock else { return };
        let ExpectedInstance { runtime, environment, memory_mb, .. } = expected;
        let Some(layout) = self.runtimes.layout_of(runtime, *memory_mb, environment) else { return };
        if let Some(profile) = self.profile(expected, &layout) {
            stock.expect(&profile);
        }
    }

    /// Makes an instance of a blank; `None` when there is none, and a sandbox has to be built.
    pub(super) async fn take_from_stock(
        &self,
        spec: &InstanceSpec,
        layout: &RuntimeLayout,
        relay: Option<&Arc<dyn Relay>>,
    ) -> Option<Box<dyn Instance>> {
        let stock = self.stock.as_ref()?;
        let profile = self.profile_of(spec, layout);
        // One that died, or whose files cannot be mounted, is no reason to give up: the next one, or a new one, follows.
        while let Some(blank) = stock.take(profile.as_ref()) {
            match self.give(blank, spec, layout, relay).await {
                Ok(instance) => return Some(instance),
                Err(error) => {
                    tracing::warn!(%error, "a sandbox that was built ahead could not be given to its function");
                    stock.lose();
                }
            }
        }
        None
    }

    /// Builds a blank for a function that found none, where its runtime is forked then and not started: that is faster
    /// than what it saves. `None` when a runtime has to be started for it.
    pub(super) async fn build_forked(
        &self,
        spec: &InstanceSpec,
        layout: &RuntimeLayout,
        relay: Option<&Arc<dyn Relay>>,
    ) -> Option<Box<dyn Instance>> {
        let stock = self.stock.as_ref()?;
        let profile = self.profile_of(spec, layout)?;
        let built = async { self.give(stock.build_forked(&profile).await?, spec, layout, relay).await };
        match built.await {
            Ok(instance) => Some(instance),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => {
                tracing::warn!(%error, "a runtime could not be forked for its function; it is started");
                None
            }
        }
    }

    async fn give(
        &self,
        blank: Blank,
        spec: &InstanceSpec,
        layout: &RuntimeLayout,
        relay: Option<&Arc<dyn Relay>>,
    ) -> io::Result<Box<dyn Instance>> {
        let mut becoming = becoming(spec, layout, relay);
        // A blank has an empty `/tmp`; that of an environment whose runtime starts again covers it.
        if spec.temporary_files.is_held() {
            becoming.temporary = self.temporaries.mount(&spec.temporary_files, spec.ephemeral_mb).await;
        }
        let has_own = becoming.temporary.is_some();
        let temporary_files = blank.temporary_files();
        let mut process = blank.become_instance(&self.client, becoming).await?;
        if has_own {
            spec.temporary_files.is_used_until(&process.reaped);
        } else {
            spec.temporary_files.take_over(&temporary_files);
        }
        let listener = process.relay_listener.take();
        serve_relay(&mut process, listener, relay.cloned());
        Ok(instance_of(process))
    }

    fn profile_of(&self, spec: &InstanceSpec, layout: &RuntimeLayout) -> Option<Profile> {
        let expected = ExpectedInstance {
            runtime: spec.runtime.clone(),
            environment: spec.environment.clone(),
            memory_mb: spec.memory_mb,
            ephemeral_mb: spec.ephemeral_mb,
            egress: spec.egress.clone(),
            layers_dir: spec.layers_dir.clone(),
        };
        self.profile(&expected, layout)
    }

    fn profile(&self, expected: &ExpectedInstance, layout: &RuntimeLayout) -> Option<Profile> {
        let wanted = Wanted {
            family: expected.runtime.family(),
            environment: &expected.environment,
            memory_mb: expected.memory_mb,
            ephemeral_mb: expected.ephemeral_mb,
            egress: self.egress.policy(expected.egress.as_ref()),
            has_relay: self.relays.get().is_some(),
            has_libraries: expected.layers_dir.as_deref().is_some_and(has_libraries),
        };
        Profile::of(wanted, layout)
    }
}

/// Whether layers have native libraries in the directory that the dynamic linker searches.
fn has_libraries(layers: &Path) -> bool {
    layers.join("lib").is_dir()
}

fn becoming(spec: &InstanceSpec, layout: &RuntimeLayout, relay: Option<&Arc<dyn Relay>>) -> Becoming {
    let mut environment = spec.environment.clone();
    set_path(&mut environment, layout);
    if layout.needs_runtime_api {
        environment.push(("AWS_LAMBDA_RUNTIME_API".to_owned(), format!("127.0.0.1:{RUNTIME_API_PORT}")));
    }
    if let Some(relay) = relay {
        announce(&mut environment, relay.as_ref(), &format!("127.0.0.1:{RELAY_PORT}"));
    }
    let task = Bind { source: spec.code_dir.clone(), target: PathBuf::from(TASK) };
    let layers = spec.layers_dir.clone().map(|source| Bind { source, target: PathBuf::from(LAYERS) });
    let assignment = Assignment { environment: &environment, handler: &spec.handler, working_directory: TASK };
    Becoming {
        binds: std::iter::once(task).chain(layers).collect(),
        temporary: None,
        memory_mb: spec.memory_mb,
        assignment: frames::assignment(&assignment),
        defences: Defences::default(),
    }
}
