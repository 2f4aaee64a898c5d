//! `wuwei up`: the checklist from an empty process to a serving one, and back.

mod credentials;
mod greeting;
mod ground;
mod server_file;
mod signals;
mod telemetry;
mod way_back;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wuwei_engine::{Engine, EngineOptions, Events};
use wuwei_gateway::{AuthMode, Gateway, GatewayOptions, RuntimeInfo};
use wuwei_queue::{Clock, DiskFiles, DurableQueue, QueueOptions, RetryPolicy, SystemClock};
use wuwei_recorder::{AuditLog, LogLimits, Recorder};
use wuwei_sandbox::{InstanceFactory, Sandbox, Steward};
use wuwei_store::Store;

use crate::arguments::UpOptions;
use crate::commands::Session;
use crate::compose::{self, ComposedSandbox, HostRuntime};
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use ground::Ground;
use server_file::ServerFile;
use signals::Signals;
use way_back::WayBack;

pub(crate) use credentials::StoredCredentials;
pub(crate) use server_file::RunningServer;
pub(crate) use telemetry::start as start_telemetry;

/// How long running calls may go on after the first signal.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// Runs the server until a signal ends it.
pub(crate) fn run(session: &Session, options: &UpOptions) -> Result<Exit, Failure> {
    // Before there is a runtime: a process with one thread can change its user as a whole.
    let ground = ground::prepare(session, options)?;
    crate::asynchronous_runtime()?.block_on(Box::pin(run_on(session, ground)))
}

async fn run_on(session: &Session, ground: Ground) -> Result<Exit, Failure> {
    let Ground { settings, listener, lock, runtimes, steward } = ground;
    let signals = Signals::listen()?;
    let listener = TcpListener::from_std(listener)
        .map_err(|error| Failure::local("cannot wait for connections").because(error))?;
    let store = Store::open_locked(lock).await.map_err(not_started)?;
    let (logs, ledger) = (settings.data_dir.join("logs"), settings.data_dir.join("ledger"));
    let recorder = Recorder::open(&logs, &ledger, log_limits(&settings))
        .map_err(|error| Failure::local("cannot open the recorder").because(error))?;
    let audit = AuditLog::open(&settings.data_dir.join("audit"))
        .map_err(|error| Failure::local("cannot open the audit log").because(error))?;
    let ComposedSandbox { sandbox, runtimes } = compose::compose_sandbox(&settings, runtimes, steward.clone()).await?;
    let engine = Engine::start(
        engine_options(&settings),
        Arc::clone(&sandbox) as Arc<dyn InstanceFactory>,
        store.clone(),
        recorder.clone(),
    );
    let events = open_events(&settings, engine.clone())?;
    let parts = Parts {
        store,
        recorder: recorder.clone(),
        audit,
        engine: engine.clone(),
        events: events.clone(),
        sandbox: Arc::clone(&sandbox),
        runtimes,
    };
    let abandoned = Arc::new(AtomicBool::new(false));
    let watch =
        steward.clone().map(|steward| tokio::spawn(stop_without(steward, signals.clone(), Arc::clone(&abandoned))));
    let served = serve(session, &settings, listener, parts, &signals).await;
    let abandoned = abandoned.load(Ordering::Acquire);
    events.stop();
    tokio::select! {
        () = engine.shutdown(served.as_ref().copied().unwrap_or_default()) => {}
        () = signals.at_least(2) => engine.shutdown(Duration::ZERO).await,
    }
    events.join().await;
    sandbox.shut_down().await;
    if let Some(watch) = watch {
        // From here on its end is as it should be.
        watch.abort();
    }
    if let Some(steward) = steward {
        steward.shut_down().await;
    }
    recorder.flush().await;
    tracing::info!("stopped");
    match served {
        Ok(_left) if abandoned => {
            let what = "cannot go on without the steward, which has ended";
            Err(Failure::local(what).hint("start the server again"))
        }
        served => served.map(|_left| Exit::Done),
    }
}

/// Without its steward a server could never replace a launcher: better it drains now, and is started again.
async fn stop_without(steward: Steward, signals: Signals, abandoned: Arc<AtomicBool>) {
    match steward.ended().await {
        Ok(()) => {
            tracing::error!("the steward has ended, so no helper can be started any more: the server stops");
            abandoned.store(true, Ordering::Release);
            signals.raise();
        }
        Err(error) => tracing::warn!(%error, "the steward's end cannot be watched"),
    }
}

/// What the gateway is built from.
struct Parts {
    store: Store,
    recorder: Recorder,
    audit: AuditLog,
    engine: Engine,
    events: Events,
    sandbox: Arc<Sandbox>,
    runtimes: Vec<HostRuntime>,
}

/// Publishes where the server is, serves until the first signal, and drains.
///
/// Gives what is left of [`DRAIN_GRACE`] for calls whose callers have gone.
async fn serve(
    session: &Session,
    settings: &Settings,
    listener: TcpListener,
    parts: Parts,
    signals: &Signals,
) -> Result<Duration, Failure> {
    let address =
        listener.local_addr().map_err(|error| Failure::local("cannot ask for the bound address").because(error))?;
    let endpoint = endpoint_of(address);
    let credentials = credentials::ensure(&parts.store, settings).await?;
    let running = RunningServer {
        endpoint: endpoint.clone(),
        pid: std::process::id(),
        region: settings.region.clone(),
        account: settings.account.clone(),
    };
    let sandbox = Arc::clone(&parts.sandbox);
    let gateway = gateway_of(settings, endpoint, parts);
    sandbox.set_relay_service(Arc::new(WayBack(gateway.relays())));
    gateway.recover().await;
    // Connections wait in the listener's backlog from here on, so whoever reads the file finds a server.
    let server_file = ServerFile::publish(&settings.data_dir, &running)?;
    tracing::info!(endpoint = running.endpoint, "serving");
    greeting::print(session, settings, &running, &credentials);
    let drain = async {
        signals.at_least(1).await;
        tracing::info!("draining; a second signal stops at once");
        let started = Instant::now();
        let expired = async {
            tokio::select! {
                () = signals.at_least(2) => {}
                () = tokio::time::sleep(DRAIN_GRACE) => {}
            }
        };
        (started, expired)
    };
    // In a task: the thread that waits for events takes new connections itself, instead of waking this one.
    let mut serving = JoinSet::new();
    let stop = signals.clone();
    serving.spawn(async move { gateway.serve(listener, stop.at_least(1)).await });
    let (started, expired) = tokio::select! {
        begun = drain => begun,
        // It ends after its signal only: with no connection open, it may be seen first.
        _ended = serving.join_next() => return Ok(DRAIN_GRACE),
    };
    let left = tokio::select! {
        _ended = serving.join_next() => DRAIN_GRACE.saturating_sub(started.elapsed()),
        () = expired => Duration::ZERO,
    };
    drop(server_file);
    Ok(left)
}

/// The queue of asynchronous invocations, with what an earlier server has left in it.
fn open_events(settings: &Settings, engine: Engine) -> Result<Events, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let directory = settings.data_dir.join("events");
    let files = DiskFiles::open(&directory).map_err(not_started)?;
    let queue =
        DurableQueue::open(Arc::new(files), Arc::clone(&clock), QueueOptions::default()).map_err(not_started)?;
    Ok(Events::new(Arc::new(queue), clock, engine))
}

/// All logs may take a tenth of the disk, and no more than the default, unless the configuration says otherwise.
fn log_limits(settings: &Settings) -> LogLimits {
    let tenth_of_disk = || match rustix::fs::statvfs(&settings.data_dir) {
        Ok(disk) => disk.f_frsize.saturating_mul(disk.f_blocks) / 10,
        Err(error) => {
            tracing::warn!(%error, "the size of the disk cannot be told");
            LogLimits::TOTAL_BYTES_DEFAULT
        }
    };
    let total_bytes = settings
        .log_bytes_total
        .unwrap_or_else(|| tenth_of_disk().clamp(LogLimits::LEAST_BYTES, LogLimits::TOTAL_BYTES_DEFAULT));
    LogLimits { function_bytes: settings.log_bytes_per_function, total_bytes }
}

fn not_started(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::local("cannot start the server").because(error).hint("another directory can be named with --data-dir DIR")
}

fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        keep_alive: settings.keep_alive,
        account_concurrency: settings.account_concurrency,
        memory_budget_mb: settings.memory_mb,
        init_limit: Duration::from_secs(wuwei_model::limits::INIT_S_MAX),
    }
}

/// The URL under which this machine reaches a listener.
fn endpoint_of(address: SocketAddr) -> String {
    let reachable = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(reachable, address.port()))
}

/// The gateway before its parts.
fn gateway_of(settings: &Settings, endpoint: String, parts: Parts) -> Gateway {
    let text = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let describe = |runtime: HostRuntime| RuntimeInfo {
        identifier: runtime.identifier,
        path: text(runtime.path),
        version: runtime.version.unwrap_or_default(),
    };
    let options = GatewayOptions {
        region: settings.region.clone(),
        account: settings.account.clone(),
        auth: if settings.signed { AuthMode::Signed } else { AuthMode::Off },
        public_endpoint: endpoint,
        url_domain: settings.url_domain.clone(),
        runtimes: parts.runtimes.into_iter().map(describe).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        egress: settings.egress.clone(),
        strict_roles: settings.strict_roles,
        event_retries: RetryPolicy { delays_ms: settings.event_retry_delays_ms, ..RetryPolicy::default() },
    };
    Gateway::new(options, parts.store, parts.engine, parts.events, parts.recorder, parts.audit)
}

#[cfg(test)]
mod tests {
    use super::endpoint_of;

    #[test]
    fn the_endpoint_is_an_address_that_this_machine_reaches() {
        let check = |address: &str, expected: &str| assert_eq!(endpoint_of(address.parse().unwrap()), expected);
        check("127.0.0.1:9000", "http://127.0.0.1:9000");
        check("0.0.0.0:80", "http://127.0.0.1:80");
        check("[::]:80", "http://[::1]:80");
        check("192.0.2.1:80", "http://192.0.2.1:80");
    }
}
