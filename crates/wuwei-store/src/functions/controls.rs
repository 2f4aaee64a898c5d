//! How aliases, tags and the settings beside a function's versions are written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wuwei_model::{
    Alias, AliasRoute, EventInvokeConfig, ProvisionedConcurrency, RecursiveLoop, RuntimeUpdate, Version, Weight,
};

use super::Function;

/// Everything that belongs to a function and is neither a version, nor a URL, nor a policy. What says nothing is left
/// out.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct StoredControls {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, StoredAlias>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reserved_concurrency: Option<u32>,
    /// By qualifier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    provisioned_concurrency: BTreeMap<String, StoredProvision>,
    /// By qualifier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    event_invoke: BTreeMap<String, StoredEventInvoke>,
    /// By version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    runtime_updates: BTreeMap<String, StoredRuntimeUpdate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recursive_loop: Option<StoredRecursiveLoop>,
    /// ARN; since schema 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_signing: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredAlias {
    /// `None` is `$LATEST`.
    version: Option<u64>,
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<StoredRoute>,
    revision_id: String,
}

#[derive(Serialize, Deserialize)]
struct StoredRoute {
    version: u64,
    weight: f64,
}

#[derive(Serialize, Deserialize)]
struct StoredProvision {
    requested: u32,
    modified_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredEventInvoke {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum_retry_attempts: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum_event_age_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_success: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_failure: Option<String>,
    modified_ms: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRuntimeUpdate {
    Auto,
    FunctionUpdate,
    Manual(String),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRecursiveLoop {
    Allow,
    Terminate,
}

impl StoredControls {
    pub(super) fn of(function: &Function) -> Self {
        // Taken apart in full: a field added to functions does not compile here until somebody decides.
        let Function {
            latest: _,
            last_published: _,
            generation: _,
            urls: _,
            policies: _,
            aliases,
            tags,
            reserved_concurrency,
            provisioned_concurrency,
            event_invoke,
            runtime_updates,
            recursive_loop,
            code_signing,
        } = function;
        Self {
            aliases: mapped(aliases, StoredAlias::new),
            tags: tags.clone(),
            reserved_concurrency: *reserved_concurrency,
            provisioned_concurrency: mapped(provisioned_concurrency, |provision| {
                let ProvisionedConcurrency { requested, modified_ms } = *provision;
                StoredProvision { requested, modified_ms }
            }),
            event_invoke: mapped(event_invoke, StoredEventInvoke::new),
            runtime_updates: mapped(runtime_updates, |update| match update {
                RuntimeUpdate::Auto => StoredRuntimeUpdate::Auto,
                RuntimeUpdate::FunctionUpdate => StoredRuntimeUpdate::FunctionUpdate,
                RuntimeUpdate::Manual(arn) => StoredRuntimeUpdate::Manual(arn.clone()),
            }),
            recursive_loop: match recursive_loop {
                RecursiveLoop::Allow => Some(StoredRecursiveLoop::Allow),
                RecursiveLoop::Terminate => None,
            },
            code_signing: code_signing.clone(),
        }
    }

    /// Puts all of it into the function.
    pub(super) fn restore(self, function: &mut Function) {
        function.aliases = mapped(&self.aliases, StoredAlias::alias);
        function.tags = self.tags;
        function.reserved_concurrency = self.reserved_concurrency;
        function.provisioned_concurrency = mapped(&self.provisioned_concurrency, |stored| ProvisionedConcurrency {
            requested: stored.requested,
            modified_ms: stored.modified_ms,
        });
        function.event_invoke = mapped(&self.event_invoke, StoredEventInvoke::config);
        function.runtime_updates = mapped(&self.runtime_updates, |stored| match stored {
            StoredRuntimeUpdate::Auto => RuntimeUpdate::Auto,
            StoredRuntimeUpdate::FunctionUpdate => RuntimeUpdate::FunctionUpdate,
            StoredRuntimeUpdate::Manual(arn) => RuntimeUpdate::Manual(arn.clone()),
        });
        function.code_signing = self.code_signing;
        function.recursive_loop = match self.recursive_loop {
            Some(StoredRecursiveLoop::Allow) => RecursiveLoop::Allow,
            Some(StoredRecursiveLoop::Terminate) | None => RecursiveLoop::Terminate,
        };
    }

    /// Names of the aliases that may lead to a version.
    pub(super) fn aliases_of(&self, number: u64) -> Vec<String> {
        let aliases = self.aliases.iter().filter(|(_, stored)| stored.alias().refers_to(number));
        aliases.map(|(name, _)| name.clone()).collect()
    }

    /// Forgets what is kept for a version that goes.
    pub(super) fn drop_qualifier(&mut self, qualifier: &str) {
        self.provisioned_concurrency.remove(qualifier);
        self.event_invoke.remove(qualifier);
        self.runtime_updates.remove(qualifier);
    }

    pub(super) fn reserved_concurrency(&self) -> Option<u32> {
        self.reserved_concurrency
    }

    /// Sum over all versions and aliases.
    pub(super) fn provisioned_concurrency(&self) -> u32 {
        self.provisioned_concurrency.values().map(|stored| stored.requested).fold(0, u32::saturating_add)
    }
}

impl StoredAlias {
    fn new(alias: &Alias) -> Self {
        let Alias { version, description, route, revision_id } = alias;
        Self {
            version: match version {
                Version::Latest => None,
                Version::Published(number) => Some(*number),
            },
            description: description.clone(),
            route: route.map(|AliasRoute { version, weight }| StoredRoute { version, weight: weight.get() }),
            revision_id: revision_id.clone(),
        }
    }

    fn alias(&self) -> Alias {
        let route = self.route.as_ref().and_then(|stored| {
            // A weight that is none takes no calls.
            Some(AliasRoute { version: stored.version, weight: Weight::new(stored.weight)? })
        });
        Alias {
            version: self.version.map_or(Version::Latest, Version::Published),
            description: self.description.clone(),
            route,
            revision_id: self.revision_id.clone(),
        }
    }
}

impl StoredEventInvoke {
    fn new(config: &EventInvokeConfig) -> Self {
        let EventInvokeConfig { maximum_retry_attempts, maximum_event_age_s, on_success, on_failure, modified_ms } =
            config.clone();
        Self { maximum_retry_attempts, maximum_event_age_s, on_success, on_failure, modified_ms }
    }

    fn config(&self) -> EventInvokeConfig {
        EventInvokeConfig {
            maximum_retry_attempts: self.maximum_retry_attempts,
            maximum_event_age_s: self.maximum_event_age_s,
            on_success: self.on_success.clone(),
            on_failure: self.on_failure.clone(),
            modified_ms: self.modified_ms,
        }
    }
}

fn mapped<T, U>(map: &BTreeMap<String, T>, change: impl Fn(&T) -> U) -> BTreeMap<String, U> {
    map.iter().map(|(name, value)| (name.clone(), change(value))).collect()
}
