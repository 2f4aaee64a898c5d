//! The sandbox as the engine sees it: a factory of instances over one launcher.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::net::TcpListener;
use wuwei_model::{CodeDigest, Runtime};

use crate::defence::Defences;
use crate::discovery::Runtimes;
use crate::egress::{Egress, EgressOptions, FillerOptions};
use crate::helper::HelperStarter;
use crate::host::{LauncherClient, LauncherOptions, Outfit, StartSandboxError, launch, probe};
use crate::instance::{ExpectedInstance, Instance, InstanceFactory, InstanceSpec, LaunchError};
use crate::launcher::{Bind, Isolation, LaunchRequest, RELAY_PORT, RUNTIME_API_PORT, Setup};
use crate::process::SandboxedProcess;
use crate::relay::{Relay, RelayServer, RelayService, announce};
use crate::runtimes::{RuntimeLayout, instance_of, runtime_files};
use crate::steward::{Helper, Steward};
use crate::stock::{Stock, StockOptions, StockSnapshot, Supplies};
use crate::temporary::{KeeperOptions, Temporaries};

/// Where a function's layers are.
const LAYERS: &str = "/opt";

/// How much isolation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// All of it; a host that cannot give it is an error.
    Full,
    /// Filter of system calls and limits only: functions see the host's files and network.
    Reduced,
}

/// How to start the sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The server's data directory; names the control groups, holds the root template.
    pub data_dir: PathBuf,
    /// Wanted isolation.
    pub mode: SandboxMode,
    /// Program whose `main` calls [`crate::run_launcher`] when it gets `launcher_arguments`.
    pub launcher_program: PathBuf,
    /// Arguments of the launcher.
    pub launcher_arguments: Vec<String>,
    /// Starts launcher and filler in place of this process, where that is not root any more.
    pub steward: Option<Steward>,
    /// What the host offers.
    pub runtimes: Runtimes,
    /// What functions reach.
    pub egress: EgressOptions,
    /// What stands ready before anybody asks for it (full isolation only).
    pub stock: StockOptions,
    /// Arguments of a keeper, where the program is the launcher's; without them `/tmp` is in memory.
    pub keeper_arguments: Option<Vec<String>>,
}

/// Starts instances in sandboxes.
pub struct Sandbox {
    client: Arc<LauncherClient>,
    runtimes: Runtimes,
    runtime_dir: PathBuf,
    mode: SandboxMode,
    relays: OnceLock<Arc<dyn RelayService>>,
    egress: Arc<Egress>,
    /// Full isolation only.
    stock: Option<Stock>,
    temporaries: Arc<Temporaries>,
}

impl Sandbox {
    /// Starts the launcher, removes what an earlier server left behind, and builds one sandbox to prove that it works.
    ///
    /// # Errors
    /// [`StartSandboxError::Unavailable`] when the host does not allow the wanted isolation.
    pub async fn start(options: SandboxOptions) -> Result<Self, StartSandboxError> {
        let run_dir = options.data_dir.join("run");
        let runtime_dir = run_dir.join("runtime");
        write_runtime_files(&runtime_dir).map_err(StartSandboxError::Launcher)?;
        let isolation = match options.mode {
            SandboxMode::Full => {
                // Not left to the umask: a launcher that a steward has started is of the group only.
                let mode = fs::Permissions::from_mode(0o750);
                fs::set_permissions(&run_dir, mode).map_err(StartSandboxError::Launcher)?;
                Isolation::Full
            }
            SandboxMode::Reduced => {
                open_for_passage(&options.data_dir, &run_dir).map_err(StartSandboxError::Launcher)?;
                Isolation::Reduced
            }
        };
        let server = server_name(&options.data_dir);
        let filler = options.egress.filler_arguments.filter(|_| isolation == Isolation::Full).map(|arguments| {
            let own = HelperStarter::Own { program: options.launcher_program.clone(), arguments };
            let starter = starter_of(options.steward.as_ref(), Helper::Filler).unwrap_or(own);
            FillerOptions { starter, server: server.clone(), stocked: options.egress.default.clone() }
        });
        let keeper = options.keeper_arguments.filter(|_| isolation == Isolation::Full).map(|arguments| {
            let own = HelperStarter::Own { program: options.launcher_program.clone(), arguments };
            let starter = starter_of(options.steward.as_ref(), Helper::Keeper).unwrap_or(own);
            KeeperOptions { starter, directory: run_dir.clone() }
        });
        let setup = Setup { server, template: run_dir.join("root"), isolation };
        let own = HelperStarter::Own { program: options.launcher_program, arguments: options.launcher_arguments };
        let starter = starter_of(options.steward.as_ref(), Helper::Launcher).unwrap_or(own);
        let client = LauncherClient::start(LauncherOptions { starter, setup }).await?;
        if let Err(error) = probe(&client, isolation).await {
            client.shut_down().await;
            return Err(error);
        }
        let (egress, temporaries) =
            tokio::join!(Egress::start(options.egress.default, filler), Temporaries::start(keeper));
        let (egress, temporaries) = (Arc::new(egress), Arc::new(temporaries));
        let stock = (isolation == Isolation::Full && options.stock.blanks_max > 0).then(|| {
            let (client, runtime_dir) = (Arc::clone(&client), runtime_dir.clone());
            let (egress, temporaries) = (Arc::clone(&egress), Arc::clone(&temporaries));
            Stock::start(Supplies { client, egress, temporaries, runtime_dir }, options.stock)
        });
        let (runtimes, mode, relays) = (options.runtimes, options.mode, OnceLock::new());
        Ok(Self { client, runtimes, runtime_dir, mode, relays, egress, stock, temporaries })
    }

    /// Why functions have the policy `none`, whatever theirs is; nothing where policies hold.
    #[must_use]
    pub fn egress_lack(&self) -> Option<&str> {
        self.egress.lack()
    }

    /// Why `/tmp` of functions is in memory, and counts as theirs; nothing where it is on the disk.
    #[must_use]
    pub fn temporary_lack(&self) -> Option<&str> {
        self.temporaries.lack()
    }

    /// Gives the instances that are started from now on a way back to the platform; only the first call counts.
    pub fn set_relay_service(&self, service: Arc<dyn RelayService>) {
        if self.relays.set(service).is_err() {
            tracing::warn!("the way back was given twice");
        }
    }

    /// Kills every sandbox and ends the launcher; nothing is left when this returns.
    pub async fn shut_down(&self) {
        if let Some(stock) = &self.stock {
            stock.close();
        }
        self.client.shut_down().await;
        self.egress.shut_down().await;
        self.temporaries.shut_down().await;
    }

    fn request(&self, spec: InstanceSpec, layout: &RuntimeLayout) -> LaunchRequest {
        let mut binds = vec![Bind { source: spec.code_dir, target: PathBuf::from("/var/task") }];
        binds.push(Bind { source: self.runtime_dir.clone(), target: PathBuf::from("/var/runtime") });
        binds.extend(layout.visible_paths.iter().map(|path| Bind { source: path.clone(), target: path.clone() }));
        binds.extend(spec.layers_dir.map(|source| Bind { source, target: PathBuf::from(LAYERS) }));
        let mut environment = spec.environment;
        let wrapper = wrapper_of(&environment, layout);
        set_path(&mut environment, layout);
        LaunchRequest {
            id: 0,
            name: spec.instance_id,
            program: layout.executable.clone(),
            arguments: layout.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            wrapper,
            environment,
            working_directory: PathBuf::from("/var/task"),
            binds,
            memory_mb: spec.memory_mb,
            ephemeral_mb: spec.ephemeral_mb,
            temporary: false,
            control: !layout.needs_runtime_api,
            runtime_api: false,
            relay: false,
            ahead: None,
            zygote: None,
            defences: Defences::default(),
        }
    }

    /// Without a root of its own, a sandbox finds its files where they are on the host.
    fn reduce(&self, request: &mut LaunchRequest) {
        let Some(task) = request.binds.first().map(|bind| bind.source.clone()) else { return };
        let on_host = |path: &Path| match (path.strip_prefix("/var/task"), path.strip_prefix("/var/runtime")) {
            (Ok(inner), _) => task.join(inner),
            (_, Ok(inner)) => self.runtime_dir.join(inner),
            (Err(_), Err(_)) => path.to_owned(),
        };
        request.program = on_host(&request.program);
        request.wrapper = request.wrapper.as_deref().map(on_host);
        request.working_directory = task.clone();
        for argument in &mut request.arguments {
            *argument = on_host(Path::new(argument.as_str())).to_string_lossy().into_owned();
        }
        for (name, value) in &mut request.environment {
            if name == "LAMBDA_TASK_ROOT" || name == "LAMBDA_RUNTIME_DIR" {
                *value = on_host(Path::new(value.as_str())).to_string_lossy().into_owned();
            }
        }
    }

    async fn build(&self, spec: InstanceSpec, layout: &RuntimeLayout) -> io::Result<Box<dyn Instance>> {
        let relay = self.relays.get().map(|service| service.open(&spec.identity)).transpose()?;
        if let Some(instance) = self.take_from_stock(&spec, layout, relay.as_ref()).await {
            return Ok(instance);
        }
        let _blanks_wait = self.stock.as_ref().map(Stock::give_way);
        if let Some(instance) = self.build_forked(&spec, layout, relay.as_ref()).await {
            return Ok(instance);
        }
        let network = match self.mode {
            SandboxMode::Full => self.egress.network(spec.egress.as_ref()).await?,
            SandboxMode::Reduced => None,
        };
        let temporary = match self.mode {
            SandboxMode::Full => self.temporaries.mount(&spec.temporary_files, spec.ephemeral_mb).await,
            SandboxMode::Reduced => None,
        };
        let temporary_files = spec.temporary_files.clone();
        let mut request = self.request(spec, layout);
        let mut outside = Outside::default();
        let mut runtime_api_address = None;
        let mut relay_address = format!("127.0.0.1:{RELAY_PORT}");
        match self.mode {
            SandboxMode::Full => {
                request.runtime_api = layout.needs_runtime_api;
                request.relay = relay.is_some();
                runtime_api_address = layout.needs_runtime_api.then(|| format!("127.0.0.1:{RUNTIME_API_PORT}"));
            }
            SandboxMode::Reduced => {
                self.reduce(&mut request);
                if layout.needs_runtime_api {
                    let (listener, address) = listen_outside().await?;
                    runtime_api_address = Some(address);
                    outside.runtime_api = Some(listener);
                }
                if relay.is_some() {
                    let (listener, address) = listen_outside().await?;
                    relay_address = address;
                    outside.relay = Some(listener);
                }
            }
        }
        request.environment.extend(runtime_api_address.map(|address| ("AWS_LAMBDA_RUNTIME_API".to_owned(), address)));
        if let Some(relay) = &relay {
            announce(&mut request.environment, relay.as_ref(), &relay_address);
        }
        let mut process = launch(&self.client, request, Outfit { network, temporary }).await?;
        temporary_files.is_used_until(&process.reaped);
        process.runtime_api = process.runtime_api.or(outside.runtime_api);
        let relay_listener = process.relay_listener.take().or(outside.relay);
        serve_relay(&mut process, relay_listener, relay);
        Ok(instance_of(process))
    }
}

/// Serves the way back of an instance, where it has one.
fn serve_relay(process: &mut SandboxedProcess, listener: Option<TcpListener>, relay: Option<Arc<dyn Relay>>) {
    let relay = listener.zip(relay);
    process.relay = relay.map(|(listener, relay)| RelayServer::start(listener, relay, process.exit.clone()));
}

#[async_trait]
impl InstanceFactory for Sandbox {
    fn supports(&self, runtime: &Runtime) -> bool {
        self.runtimes.get(runtime).is_some()
    }

    async fn launch(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, LaunchError> {
        if self.mode == SandboxMode::Reduced && spec.layers_dir.is_some() {
            return Err(LaunchError::NoLayers);
        }
        let layout = self.runtimes.layout(&spec)?;
        self.build(spec, &layout).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotConnected => LaunchError::LauncherGone,
            _ => LaunchError::Sandbox(error.to_string()),
        })
    }

    fn expect(&self, expected: ExpectedInstance) {
        self.stock_for(&expected);
    }

    fn stock(&self) -> StockSnapshot {
        self.stock.as_ref().map(Stock::snapshot).unwrap_or_default()
    }
}

/// Listeners on the host's loopback, where a sandbox has no network of its own: what comes from a function there is told
/// from others by its credentials.
#[derive(Default)]
struct Outside {
    runtime_api: Option<TcpListener>,
    relay: Option<TcpListener>,
}

async fn listen_outside() -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

/// The function's own program that starts the runtime (`AWS_LAMBDA_EXEC_WRAPPER`). AWS offers it for managed runtimes only.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html>.
fn wrapper_of(environment: &[(String, String)], layout: &RuntimeLayout) -> Option<PathBuf> {
    if layout.needs_runtime_api {
        return None;
    }
    let (_, wrapper) = environment.iter().find(|(name, _)| name == "AWS_LAMBDA_EXEC_WRAPPER")?;
    (!wrapper.is_empty()).then(|| PathBuf::from(wrapper))
}

/// The function's own `PATH` stands; else it is the layout's.
fn set_path(environment: &mut Vec<(String, String)>, layout: &RuntimeLayout) {
    let layout_path = layout.path_env.to_string_lossy();
    match environment.iter_mut().find(|(name, _)| name == "PATH") {
        // AWS's own default comes with the environment: the interpreter goes in front of it.
        Some((_, path)) => {
            for directory in layout_path.split(':').rev() {
                if !path.split(':').any(|known| known == directory) {
                    *path = format!("{directory}:{path}");
                }
            }
        }
        None => environment.push(("PATH".to_owned(), layout_path.into_owned())),
    }
}

fn starter_of(steward: Option<&Steward>, helper: Helper) -> Option<HelperStarter> {
    steward.map(|steward| HelperStarter::Steward(steward.clone(), helper))
}

/// Twelve hexadecimal digits that stand for a data directory.
pub(crate) fn server_name(data_dir: &Path) -> String {
    let canonical = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    CodeDigest::of(canonical.as_os_str().as_encoded_bytes()).to_hex().chars().take(12).collect()
}

/// Writes the bootstraps where sandboxes show them.
pub(crate) fn write_runtime_files(directory: &Path) -> io::Result<()> {
    for file in runtime_files() {
        let path = directory.join(file.name);
        for parent in path.ancestors().skip(1).take_while(|parent| parent.starts_with(directory)) {
            fs::create_dir_all(parent)?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(&path, file.contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// In reduced isolation functions reach their code through the data directory: they may pass, but not list.
fn open_for_passage(data_dir: &Path, run_dir: &Path) -> io::Result<()> {
    [data_dir, run_dir].iter().try_for_each(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o711)))
}

mod stocked;
#[cfg(test)]
mod tests;
