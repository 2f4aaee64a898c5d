//! Real sandboxes, built by a real launcher (the `launcher` example), with a shell as the runtime.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::client::LauncherClient;
use super::{LauncherOptions, Outfit, launch, probe};
use crate::ProcessExit;
use crate::defence::Defences;
use crate::helper::HelperStarter;
use crate::launcher::{Isolation, LaunchRequest, Setup};

fn launcher_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/launcher");
    assert!(program.exists(), "build it first: cargo build -p wuwei-sandbox --example launcher");
    program
}

pub(super) async fn start(directory: &tempfile::TempDir, isolation: Isolation) -> Arc<LauncherClient> {
    let name = directory.path().file_name().unwrap().to_string_lossy().replace('.', "");
    let setup = Setup { server: format!("test{name}"), template: directory.path().join("root"), isolation };
    let starter = HelperStarter::Own { program: launcher_program(), arguments: Vec::new() };
    LauncherClient::start(LauncherOptions { starter, setup }).await.unwrap()
}

fn shell(name: &str, script: &str) -> LaunchRequest {
    LaunchRequest {
        id: 0,
        name: name.to_owned(),
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        wrapper: None,
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        working_directory: PathBuf::from("/"),
        binds: Vec::new(),
        memory_mb: 128,
        ephemeral_mb: 512,
        temporary: false,
        control: true,
        runtime_api: false,
        relay: false,
        ahead: None,
        zygote: None,
        defences: Defences::default(),
    }
}

async fn run(client: &Arc<LauncherClient>, name: &str, script: &str) -> (String, ProcessExit) {
    let mut process = launch(client, shell(name, script), Outfit::default()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(30), process.output.read_to_string(&mut text)).await.unwrap().unwrap();
    let exit = process.exit.wait_for(Option::is_some).await.unwrap().unwrap();
    (text, exit)
}

#[tokio::test]
async fn a_program_runs_enclosed_and_its_exit_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Full).await;
    probe(&client, Isolation::Full).await.unwrap();
    let script = "id -u; cat /proc/self/status | grep -E '^(Seccomp|NoNewPrivs|Cap)'; hostname; ls /; ls /proc | grep -c '^[0-9]'; \
                  ls /sys/class/net 2>&1; cat /proc/net/dev | wc -l; touch /x; touch /tmp/y && echo tmp-ok; ulimit -n; cat /proc/self/cgroup; ls -l /proc/self/fd; exit 7";
    let (text, exit) = run(&client, "enclosed", script).await;
    println!("{text}");
    assert_eq!(exit, ProcessExit::Code(7), "{text}");
    for expected in [
        "993\n",
        "Seccomp:\t2",
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "sandbox\n",
        "tmp-ok",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    client.shut_down().await;
    assert!(!directory.path().join("root").exists(), "the launcher removes its template");
}

#[tokio::test]
async fn signals_memory_and_kills_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Full).await;
    assert_eq!(run(&client, "term", "kill -TERM $$").await.1, ProcessExit::Signal(15));
    let hog = "exec /usr/bin/python3 -I -S -c 'x = bytearray(300_000_000)'";
    assert_eq!(run(&client, "hog", hog).await.1, ProcessExit::OutOfMemory);
    let mut process = launch(&client, shell("stuck", "trap '' TERM INT; while :; do sleep 1; done"), Outfit::default())
        .await
        .unwrap();
    process.controls.kill();
    let exit = process.exit.wait_for(Option::is_some).await.unwrap().unwrap();
    assert_eq!(exit, ProcessExit::Lost);
    client.shut_down().await;
}

#[tokio::test]
async fn a_frozen_sandbox_uses_no_cpu_and_can_be_killed() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Full).await;
    let mut process = launch(&client, shell("busy", "echo up; while :; do :; done"), Outfit::default()).await.unwrap();
    let mut first = [0_u8; 3];
    process.output.read_exact(&mut first).await.unwrap();
    let wait_for_cpu = async {
        while process.controls.usage().cpu_us < 20_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait_for_cpu).await.unwrap();
    process.controls.freeze();
    // A busy host may take its time to freeze; a busy loop that is not frozen never stands still for this long.
    let stands_still = async {
        loop {
            let before = process.controls.usage().cpu_us;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if process.controls.usage().cpu_us == before {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stands_still).await.unwrap();
    assert!(process.controls.usage().peak_memory_bytes > 0);
    drop(process.controls);
    process.exit.wait_for(Option::is_some).await.unwrap();
    client.shut_down().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_exit_and_a_bad_bind_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Full).await;
    let mut request = shell("missing", "");
    request.program = PathBuf::from("/no/such/program");
    let mut process = launch(&client, request, Outfit::default()).await.unwrap();
    assert_eq!(process.exit.wait_for(Option::is_some).await.unwrap().unwrap(), ProcessExit::NotExecuted(libc::ENOENT));
    let mut request = shell("bind", "");
    let missing = directory.path().join("missing");
    request.binds.push(crate::launcher::Bind { source: missing, target: PathBuf::from("/var/task") });
    let error = launch(&client, request, Outfit::default()).await.err().unwrap();
    assert!(error.to_string().contains("missing"), "{error}");
    client.shut_down().await;
}

#[tokio::test]
async fn a_launcher_that_is_killed_takes_its_sandboxes_along_and_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Full).await;
    let mut process = launch(&client, shell("orphan", "while :; do sleep 1; done"), Outfit::default()).await.unwrap();
    client.kill_launcher();
    assert_eq!(process.exit.wait_for(Option::is_some).await.unwrap().unwrap(), ProcessExit::Lost);
    let again = async {
        loop {
            if let Ok(mut process) = launch(&client, shell("again", "exit 3"), Outfit::default()).await {
                return process.exit.wait_for(Option::is_some).await.unwrap().unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), again).await.unwrap(), ProcessExit::Code(3));
    client.shut_down().await;
}

#[tokio::test]
async fn reduced_isolation_runs_programs_under_filter_and_limits() {
    let directory = tempfile::tempdir().unwrap();
    let client = start(&directory, Isolation::Reduced).await;
    let (text, exit) =
        run(&client, "reduced", "grep -E '^(Seccomp|NoNewPrivs|CapEff)' /proc/self/status; exit 4").await;
    assert_eq!(exit, ProcessExit::Code(4));
    for expected in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    client.shut_down().await;
}
