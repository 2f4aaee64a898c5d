//! The gateway itself: its options, its parts, its life.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};

use tokio::sync::{Mutex, watch};
use wuwei_engine::{Engine, Events};
use wuwei_model::EgressPolicy;
use wuwei_queue::RetryPolicy;
use wuwei_recorder::{AuditLog, Recorder};
use wuwei_store::Store;

use crate::AuthMode;
use crate::admission::Budgets;
use crate::tasks::Tasks;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Region of this server; all functions live in it.
    pub region: String,
    /// The first account, twelve digits.
    pub account: String,
    /// Whether signatures are checked.
    pub auth: AuthMode,
    /// How clients reach this server, for example `http://127.0.0.1:9000`; without a final slash.
    pub public_endpoint: String,
    /// Domain below which the host names of function URLs lie, for example `localhost`.
    pub url_domain: String,
    /// What the host can run, for `wuwei runtimes`.
    pub runtimes: Vec<RuntimeInfo>,
    /// Version of wuwei.
    pub version: String,
    /// What functions without a policy of their own may reach.
    pub egress: EgressPolicy,
    /// Whether the roles of functions must have been made.
    pub strict_roles: bool,
    /// What becomes of events whose functions say nothing of it.
    pub event_retries: RetryPolicy,
}

/// A language runtime of this host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuntimeInfo {
    /// As AWS spells it, for example `python3.11`.
    pub identifier: String,
    /// Where its executable is.
    pub path: String,
    /// What it says of itself, for example `3.11.7`.
    pub version: String,
}

/// The server of every API; a handle, cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) parts: Arc<Parts>,
}

/// What all requests share.
pub(crate) struct Parts {
    pub(crate) options: GatewayOptions,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) events: Events,
    pub(crate) recorder: Recorder,
    pub(crate) audit: AuditLog,
    pub(crate) tasks: Tasks,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Sender<bool>,
    /// Bounds the memory of bodies.
    pub(crate) budgets: Budgets,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    pub(crate) counters: Counters,
    /// Held while concurrency is kept for a function, or given back: the sum over all functions has a limit.
    pub(crate) concurrency: Mutex<()>,
    /// Held while roles and policies are changed.
    pub(crate) identity: Mutex<()>,
    /// Held while the recorder is told how long logs are kept.
    pub(crate) retention: Mutex<()>,
}

/// What the gateway counts for `/metrics`.
#[derive(Default)]
pub(crate) struct Counters {
    /// Answers by the first digit of their status, from 1.
    pub(crate) answers: [AtomicU64; 5],
    /// Handlers that panicked.
    pub(crate) panics: AtomicU64,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
}

impl Gateway {
    /// Puts a gateway before its parts; serves nothing yet.
    #[must_use]
    pub fn new(
        options: GatewayOptions,
        store: Store,
        engine: Engine,
        events: Events,
        recorder: Recorder,
        audit: AuditLog,
    ) -> Self {
        let parts = Parts {
            options,
            store,
            engine,
            events,
            recorder,
            audit,
            tasks: Tasks::default(),
            stopping: watch::Sender::new(false),
            budgets: Budgets::default(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            counters: Counters::default(),
            concurrency: Mutex::default(),
            identity: Mutex::default(),
            retention: Mutex::default(),
        };
        Self { parts: Arc::new(parts) }
    }

    /// Keeps concurrency for the functions that have some, settles what an earlier server left pending, removes old logs,
    /// and begins to run events that wait. Call before serving.
    pub async fn recover(&self) {
        crate::lambda::recover(&self.parts).await;
        crate::logs::apply_retention(&self.parts).await;
        tokio::spawn(crate::logs::keep_applying_retention(Arc::downgrade(&self.parts)));
        self.parts.events.start(Arc::new(crate::lambda::EventFunctions(Arc::clone(&self.parts))));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::GatewayOptions;
    use crate::AuthMode;

    /// Options of a server that nobody asks for much.
    pub(crate) fn options() -> GatewayOptions {
        GatewayOptions {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            auth: AuthMode::Signed,
            public_endpoint: "http://127.0.0.1:9000".to_owned(),
            url_domain: "localhost".to_owned(),
            runtimes: Vec::new(),
            version: "0.0.0".to_owned(),
            egress: wuwei_model::EgressPolicy::Internet,
            strict_roles: false,
            event_retries: wuwei_queue::RetryPolicy::default(),
        }
    }
}
