//! Runs the programs of the suite of attempts, with every defence or with some left out. Only in builds for tests.
//!
//! Commands come as one JSON document a line on standard input, events go out the same way.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::defence::{Defence, Defences};
use crate::frames::{Assignment, assignment};
use crate::helper::HelperStarter;
use crate::host::{LauncherClient, LauncherOptions, Outfit, launch};
use crate::instance::Usage;
use crate::launcher::{Ahead, Bind, Isolation, LaunchRequest, Setup};
use crate::process::{ProcessControls, SandboxedProcess};
use crate::stock::{Becoming, Blank};
use conversation::{Conversations, Converse};

mod conversation;
mod forked;

/// Commands that may wait.
const COMMANDS_MAX: usize = 64;
/// Output that is passed on; the rest of a flood is counted only.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
enum Command {
    Launch(Box<Launch>),
    Converse(Box<Converse>),
    Freeze { id: u64 },
    Thaw { id: u64 },
    Kill { id: u64 },
    Usage { id: u64 },
}

#[derive(Debug, Deserialize)]
struct Launch {
    id: u64,
    /// Name of its control groups.
    name: String,
    /// Whether the launcher of this build is asked, which honours `left_out`.
    switchable: bool,
    left_out: Vec<Defence>,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    binds: Vec<(PathBuf, PathBuf)>,
    memory_mb: u32,
    ephemeral_mb: u32,
    control: bool,
    /// Whether the sandbox is built before anybody knows what runs in it.
    ahead: bool,
    /// Whether, then, the program is executed by a Python runtime that was forked from a zygote.
    #[serde(default)]
    forked: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Event {
    Started { id: u64 },
    Failed { id: u64, reason: String },
    Output { id: u64, text: String },
    Usage { id: u64, cpu_us: u64, peak_memory_bytes: u64 },
    Ended { id: u64, exit: String, output_bytes: usize },
    Replied { id: u64, replies: Vec<String> },
}

/// Serves commands until standard input ends; kills what still runs then.
///
/// # Errors
/// When a launcher cannot be started, or the streams fail.
pub fn run(directory: &Path, shipped: PathBuf, shipped_arguments: Vec<String>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let own = std::env::current_exe()?;
        let conversations = Conversations::start(directory, shipped.clone(), shipped_arguments.clone()).await?;
        let shipped = start(directory, "shipped", shipped, shipped_arguments).await?;
        let switchable = start(directory, "switchable", own, Vec::new()).await?;
        let covered = directory.join("covered");
        std::fs::create_dir(&covered)?;
        forked::prepare(directory)?;
        let mut running = Running { shipped, switchable, conversations, covered, sandboxes: BTreeMap::new() };
        let mut commands = read_commands();
        while let Some(command) = commands.recv().await {
            running.take(serde_json::from_str(&command)?).await?;
        }
        for (_, (task, _)) in std::mem::take(&mut running.sandboxes) {
            task.abort();
        }
        running.conversations.shut_down().await;
        running.shipped.shut_down().await;
        running.switchable.shut_down().await;
        Ok(())
    })
}

async fn start(
    directory: &Path,
    name: &str,
    program: PathBuf,
    arguments: Vec<String>,
) -> io::Result<Arc<LauncherClient>> {
    let server = format!("attempts-{name}-{}", std::process::id());
    let setup = Setup { server, template: directory.join(name), isolation: Isolation::Full };
    LauncherClient::start(LauncherOptions { starter: HelperStarter::Own { program, arguments }, setup })
        .await
        .map_err(io::Error::other)
}

/// Lines of standard input, read by a thread of their own.
fn read_commands() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

type Levers = Arc<std::sync::OnceLock<Arc<dyn ProcessControls>>>;

struct Running {
    shipped: Arc<LauncherClient>,
    switchable: Arc<LauncherClient>,
    conversations: Conversations,
    /// An empty directory.
    covered: PathBuf,
    sandboxes: BTreeMap<u64, (JoinHandle<io::Result<()>>, Levers)>,
}

impl Running {
    async fn take(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Launch(launch) => {
                let client = Arc::clone(if launch.switchable { &self.switchable } else { &self.shipped });
                let (id, levers) = (launch.id, Levers::default());
                let task = tokio::spawn(attempt(client, *launch, self.covered.clone(), Arc::clone(&levers)));
                self.sandboxes.insert(id, (task, levers));
            }
            // One after the other: what is left out of the server is left out for all of them.
            Command::Converse(converse) => {
                let replies = self.conversations.hold(&converse).await;
                tell(&Event::Replied { id: converse.id, replies })?;
            }
            Command::Freeze { id } => self.with(id, |controls| controls.freeze()),
            Command::Thaw { id } => self.with(id, |controls| controls.thaw()),
            Command::Kill { id } => self.with(id, |controls| controls.kill()),
            Command::Usage { id } => {
                let mut usage = Usage::default();
                self.with(id, |controls| usage = controls.usage());
                let Usage { cpu_us, peak_memory_bytes } = usage;
                tell(&Event::Usage { id, cpu_us, peak_memory_bytes })?;
            }
        }
        Ok(())
    }

    fn with(&self, id: u64, action: impl FnOnce(&dyn ProcessControls)) {
        if let Some(controls) = self.sandboxes.get(&id).and_then(|(_, levers)| levers.get()) {
            action(controls.as_ref());
        }
    }
}

/// Starts a program in a sandbox that is built for it, or in one that stands already.
async fn start_program(client: &Arc<LauncherClient>, attempt: Launch, covered: &Path) -> io::Result<SandboxedProcess> {
    let (is_ahead, is_forked) = (attempt.ahead, attempt.forked);
    let mut request = request(attempt);
    if !is_ahead {
        return launch(client, request, Outfit::default()).await;
    }
    let handler = if is_forked { forked::hand_over(&mut request, covered)? } else { "" };
    let becoming = Becoming {
        binds: std::mem::take(&mut request.binds),
        temporary: None,
        memory_mb: request.memory_mb,
        assignment: assignment(&Assignment { environment: &request.environment, handler, working_directory: "/" }),
        defences: request.defences.clone(),
    };
    request.environment.clear();
    request.memory_mb = wuwei_model::limits::MEMORY_MB_MIN;
    request.ahead = Some(Ahead::Held);
    // Where the programs are found is known to no sandbox: what is mounted covers something.
    let cover = |bind: &Bind| Bind { source: covered.to_owned(), target: bind.target.clone() };
    request.binds = becoming.binds.iter().map(cover).collect();
    if is_forked {
        forked::boot(&mut request, covered);
    }
    Blank::build(client, request, Outfit::default(), crate::TemporaryFiles::default())
        .await?
        .become_instance(client, becoming)
        .await
}

async fn attempt(client: Arc<LauncherClient>, attempt: Launch, covered: PathBuf, levers: Levers) -> io::Result<()> {
    let id = attempt.id;
    match start_program(&client, attempt, &covered).await {
        Ok(process) => {
            if levers.set(Arc::clone(&process.controls)).is_err() {
                return Err(io::Error::other("an id was used twice"));
            }
            tell(&Event::Started { id })?;
            pass_on(id, process).await
        }
        Err(error) => tell(&Event::Failed { id, reason: error.to_string() }),
    }
}

async fn pass_on(id: u64, mut process: SandboxedProcess) -> io::Result<()> {
    let (mut passed, mut closed) = (Passed { id, bytes: 0 }, false);
    let mut buffer = vec![0; OUTPUT_BYTES_MAX];
    let exit = loop {
        tokio::select! {
            // What it wrote comes before the news of its end.
            biased;
            count = process.output.read(&mut buffer), if !closed => {
                let count = count?;
                closed = count == 0;
                passed.on(buffer.get(..count).unwrap_or_default())?;
            }
            exit = process.exit.wait_for(Option::is_some) => break exit.map(|exit| *exit),
        }
    };
    // Past the event loop, whose knowledge of it may be late.
    while let Ok(count @ 1..) = rustix::io::read(&process.output, &mut buffer) {
        passed.on(buffer.get(..count).unwrap_or_default())?;
    }
    let exit = exit.ok().flatten().map_or_else(|| "Unknown".to_owned(), |exit| format!("{exit:?}"));
    let Usage { cpu_us, peak_memory_bytes } = process.controls.usage();
    tell(&Event::Usage { id, cpu_us, peak_memory_bytes })?;
    tell(&Event::Ended { id, exit, output_bytes: passed.bytes })
}

struct Passed {
    id: u64,
    bytes: usize,
}

impl Passed {
    fn on(&mut self, output: &[u8]) -> io::Result<()> {
        self.bytes += output.len();
        if output.is_empty() || self.bytes > OUTPUT_BYTES_MAX {
            return Ok(());
        }
        tell(&Event::Output { id: self.id, text: String::from_utf8_lossy(output).into_owned() })
    }
}

fn request(launch: Launch) -> LaunchRequest {
    LaunchRequest {
        id: 0,
        name: launch.name,
        program: launch.program,
        arguments: launch.arguments,
        environment: launch.environment,
        working_directory: PathBuf::from("/"),
        binds: launch.binds.into_iter().map(|(source, target)| Bind { source, target }).collect(),
        memory_mb: launch.memory_mb,
        ephemeral_mb: launch.ephemeral_mb,
        temporary: false,
        control: launch.control,
        runtime_api: false,
        relay: false,
        wrapper: None,
        ahead: None,
        zygote: None,
        defences: Defences { left_out: launch.left_out },
    }
}

fn tell(event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)
}
