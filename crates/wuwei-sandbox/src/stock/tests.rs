//! Blanks of a real launcher (the `launcher` example), held, so that any program can be theirs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use wuwei_model::{EgressPolicy, RuntimeFamily};

use super::{Becoming, Blank, Profile, Stock, StockOptions, Supplies, Wanted};
use crate::ProcessExit;
use crate::defence::Defences;
use crate::egress::Egress;
use crate::frames::{Assignment, assignment};
use crate::helper::HelperStarter;
use crate::host::{LauncherClient, LauncherOptions};
use crate::launcher::{Bind, Isolation, Setup};
use crate::process::SandboxedProcess;
use crate::runtimes::RuntimeLayout;
use crate::startup::started_with;
use crate::temporary::Temporaries;

const LIMIT: Duration = Duration::from_secs(30);

struct World {
    directory: tempfile::TempDir,
    client: Arc<LauncherClient>,
    stock: Stock,
}

impl World {
    async fn start(options: StockOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let test = std::env::current_exe().unwrap();
        let program = test.parent().unwrap().parent().unwrap().join("examples/launcher");
        assert!(program.exists(), "build it first: cargo build -p wuwei-sandbox --example launcher");
        let name = directory.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let template = directory.path().join("root");
        let setup = Setup { server: format!("stock{name}"), template, isolation: Isolation::Full };
        let starter = HelperStarter::Own { program, arguments: Vec::new() };
        let client = LauncherClient::start(LauncherOptions { starter, setup }).await.unwrap();
        let runtime_dir = directory.path().join("runtime");
        std::fs::create_dir(&runtime_dir).unwrap();
        let egress = Arc::new(Egress::start(EgressPolicy::None, None).await);
        let temporaries = Arc::new(Temporaries::start(None).await);
        let stock = Stock::start(Supplies { client: Arc::clone(&client), egress, temporaries, runtime_dir }, options);
        Self { directory, client, stock }
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < LIMIT, "{what}: {:?}", self.stock.snapshot());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn blank(&self) -> Blank {
        self.stock.expect(&profile());
        self.wait_for("a blank is ready", |world| world.stock.snapshot().ready > 0).await;
        self.stock.take(Some(&profile())).unwrap()
    }

    /// A package whose program is this script.
    fn package(&self, name: &str, script: &str) -> PathBuf {
        let package = self.directory.path().join(name);
        std::fs::create_dir_all(&package).unwrap();
        let program = package.join("bootstrap");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        for (path, mode) in [(self.directory.path(), 0o755), (&package, 0o755), (&program, 0o755)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        package
    }

    async fn run(&self, blank: Blank, package: PathBuf, memory_mb: u32) -> std::io::Result<SandboxedProcess> {
        let environment = [("PATH", "/usr/bin:/bin"), ("WORD", "assigned")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let assigned = Assignment { environment: &environment, handler: "", working_directory: "/var/task" };
        let binds = vec![Bind { source: package, target: PathBuf::from("/var/task") }];
        let becoming = Becoming {
            binds,
            temporary: None,
            memory_mb,
            assignment: assignment(&assigned),
            defences: Defences::default(),
        };
        blank.become_instance(&self.client, becoming).await
    }
}

fn layout() -> RuntimeLayout {
    RuntimeLayout {
        executable: PathBuf::from("/var/task/bootstrap"),
        arguments: Vec::new(),
        visible_paths: Vec::new(),
        needs_runtime_api: true,
        path_env: "/usr/bin".into(),
    }
}

fn wanted() -> Wanted<'static> {
    let (family, egress) = (RuntimeFamily::Provided, &EgressPolicy::None);
    Wanted {
        family,
        environment: &[],
        memory_mb: 512,
        ephemeral_mb: 512,
        egress,
        has_relay: true,
        has_libraries: false,
    }
}

fn profile() -> Profile {
    Profile::of(wanted(), &layout()).unwrap()
}

async fn end_of(mut process: SandboxedProcess) -> (String, ProcessExit) {
    let mut text = String::new();
    tokio::time::timeout(LIMIT, process.output.read_to_string(&mut text)).await.unwrap().unwrap();
    let exit = process.exit.wait_for(Option::is_some).await.unwrap().unwrap();
    (text, exit)
}

#[tokio::test]
async fn a_blank_becomes_the_program_of_one_function_enclosed_as_any_other() {
    let world = World::start(StockOptions::default()).await;
    let script = "echo $WORD $PWD; ls; touch here 2>&1; id -u; ls /proc/self/fd | wc -l; ls /var /opt; \
                  grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd)' /proc/self/status; cat /proc/self/mountinfo; exit 7";
    let package = world.package("mine", script);
    let process = world.run(world.blank().await, package, 512).await.unwrap();
    assert!(process.runtime_api.is_some() && process.relay_listener.is_some());
    let (text, exit) = end_of(process).await;
    assert_eq!(exit, ProcessExit::Code(7), "{text}");
    for expected in [
        "assigned /var/task\nbootstrap\n",
        "Read-only file system",
        "\n993\n4\n",
        "Seccomp:\t2",
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    let mounts: Vec<&str> = text.lines().filter(|line| line.contains(" /var/task ")).collect();
    assert!(mounts.len() == 1 && mounts[0].contains(" ro,nosuid,nodev"), "{mounts:?}");
    world.client.shut_down().await;
}

#[tokio::test]
async fn a_blank_has_the_limits_of_its_function() {
    let world = World::start(StockOptions::default()).await;
    // 200 MB are too much for what it was built with, and fit into what it has become.
    let hog = "exec /usr/bin/python3 -I -S -c 'x = bytearray(200_000_000); print(len(x))'";
    let package = world.package("hog", hog);
    let process = world.run(world.blank().await, package.clone(), 512).await.unwrap();
    assert_eq!(end_of(process).await, ("200000000\n".to_owned(), ProcessExit::Code(0)));
    let process = world.run(world.blank().await, package, 128).await.unwrap();
    assert_eq!(end_of(process).await.1, ProcessExit::OutOfMemory);

    world.client.shut_down().await;
}

#[tokio::test]
async fn what_a_runtime_used_and_printed_before_it_got_its_function_is_nobodys() {
    let world = World::start(StockOptions::default()).await;
    let script = "import os, time\nwhile time.process_time() < 0.3: pass\nprint('before', flush=True)\n\
                  os.write(3, bytes([5, 0, 0, 0, 16, 0, 0, 0, 0, 0]))\nos.read(3, 65536)\nprint('after')";
    let layout = RuntimeLayout {
        executable: PathBuf::from("/usr/bin/python3"),
        arguments: ["-I", "-S", "-c", script].map(Into::into).to_vec(),
        needs_runtime_api: false,
        ..layout()
    };
    let environment = started_with(RuntimeFamily::Python);
    let wanted = Wanted { family: RuntimeFamily::Python, environment: &environment, ..wanted() };
    let profile = Profile::of(wanted, &layout).unwrap();
    world.stock.expect(&profile);
    world.wait_for("a blank is ready", |world| world.stock.snapshot().ready > 0).await;
    let blank = world.stock.take(Some(&profile)).unwrap();
    let process = world.run(blank, world.package("any", ""), 512).await.unwrap();
    let controls = Arc::clone(&process.controls);
    assert_eq!(end_of(process).await, ("after\n".to_owned(), ProcessExit::Code(0)));
    let used = controls.usage().cpu_us;
    assert!(used < 300_000, "{used}");
    world.client.shut_down().await;
}

#[tokio::test]
async fn a_blank_without_the_functions_files_is_given_up() {
    let world = World::start(StockOptions::default()).await;
    let missing = world.directory.path().join("missing");
    let error = world.run(world.blank().await, missing, 128).await.err().unwrap();
    assert!(error.to_string().contains("missing"), "{error}");
    let package = world.package("not-executable", "");
    std::fs::set_permissions(package.join("bootstrap"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let process = world.run(world.blank().await, package, 128).await.unwrap();
    assert_eq!(end_of(process).await.1, ProcessExit::NotExecuted(libc::EACCES));
    world.client.shut_down().await;
}

#[tokio::test]
async fn blanks_die_with_the_launcher_and_new_ones_follow() {
    let world = World::start(StockOptions::default()).await;
    let blank = world.blank().await;
    world.client.kill_launcher();
    world.wait_for("the blank is dead", |_world| !blank.is_alive()).await;
    let package = world.package("mine", "exit 0");
    world.run(blank, package, 128).await.err().unwrap();
    world.wait_for("there are others", |world| world.client.has_mounter() && world.stock.snapshot().ready > 1).await;
    world.client.shut_down().await;
}

#[tokio::test]
async fn a_stock_that_is_closed_ends_what_waits_and_builds_no_more() {
    let world = World::start(StockOptions::default()).await;
    let blank = world.blank().await;
    world.stock.close();
    assert!(world.stock.take(Some(&profile())).is_none());
    assert_eq!(world.stock.snapshot().ready, 0);
    let package = world.package("mine", "exit 3");
    let process = world.run(blank, package, 128).await.unwrap();
    assert_eq!(end_of(process).await.1, ProcessExit::Code(3), "what was handed out is not the stock's any more");
    world.client.shut_down().await;
}
