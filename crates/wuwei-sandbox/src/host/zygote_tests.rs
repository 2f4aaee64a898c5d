//! Runtimes forked from a zygote, in real sandboxes: they are what executed ones are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::client::LauncherClient;
use super::tests::start;
use super::{Outfit, launch};
use crate::defence::Defences;
use crate::frames::{self, AnswerKind, Assignment, FrameReader};
use crate::instance::Instance;
use crate::launcher::{Ahead, Bind, Isolation, LaunchRequest};
use crate::runtimes::test_process::{ID, LIMIT, Lines, invocation, spec};
use crate::runtimes::{BLANK_ARGUMENT, instance_of, runtime_files, zygote_of};
use crate::{Reply, Runtimes, SearchPaths};

/// What a function sees of the process that it runs in.
const PROBE: &str = r#"
import json, os, socket
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return error.errno
def links(directory):
    return {name: os.readlink(directory + name).partition(":")[0] for name in sorted(os.listdir(directory))[:4]}
def handler(event, context):
    status = [line for line in read("/proc/self/status").splitlines()
              if not line.startswith(("Vm", "Rss", "FDSize", "Pid", "Tgid", "NSpid", "Ngid", "voluntary", "nonvoluntary", "Hugetlb",
                                      "NStgid", "NSpgid", "NSsid", "Cpus", "Mems", "x86", "SigQ"))]
    attempts = {}
    for path in ("/usr/x", "/var/task/x", "/tmp/x", "/proc/1/environ", "/proc/self/mem", "/dev/stdout", "/proc/1/root"):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT if path.endswith("x") else os.O_RDONLY))
            attempts[path] = 0
        except OSError as error:
            attempts[path] = error.errno
    for name in ("unshare", "ptrace"):
        attempts[name] = os.system("unshare -U true 2>/dev/null") if name == "unshare" else 0
    # A process of another number each time, and of another start.
    mounts = [" ".join(line.split()[3:]) for line in read("/proc/self/mountinfo").splitlines()]
    return {
        "status": status, "limits": read("/proc/self/limits"), "oom": read("/proc/self/oom_score_adj"),
        "groups": read("/proc/self/cgroup"), "mounts": sorted(mounts), "links": links("/proc/self/fd/"),
        "count": len(os.listdir("/proc/self/fd")), "maps": [read("/proc/self/uid_map"), read("/proc/self/gid_map")],
        "parent": os.getppid(), "session": os.getsid(0) == os.getpid(), "group": os.getpgid(0) == os.getpid(),
        "host": socket.gethostname(), "interfaces": socket.if_nameindex(), "cwd": os.getcwd(), "exe": os.readlink("/proc/self/exe"),
        "comm": read("/proc/self/comm"), "environ": sorted(os.environ.items()), "root": sorted(os.listdir("/")), "attempts": attempts,
        "owner": [os.stat("/proc/self/fd").st_uid, os.stat("/proc/self").st_gid], "umask": os.umask(0o22),
        "namespaces": sorted(os.listdir("/proc/self/ns")), "personality": read("/proc/self/personality"),
        "own": {name: os.stat("/proc/self/ns/" + name).st_ino == os.stat("/proc/1/ns/" + name).st_ino
                for name in ("pid", "mnt", "net", "ipc", "uts", "user", "cgroup")} if os.access("/proc/1/ns/pid", os.R_OK) else None,
        "forked": b"--zygote" in open("/proc/self/cmdline", "rb").read(),
        "context": read("/proc/self/attr/current"), "seccomp": read("/proc/self/timerslack_ns"),
    }
"#;

struct Ground {
    client: Arc<LauncherClient>,
    directory: tempfile::TempDir,
}

impl Ground {
    async fn prepare(code: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let task = directory.path().join("task");
        std::fs::create_dir(&task).unwrap();
        std::fs::write(task.join("app.py"), code).unwrap();
        for file in runtime_files() {
            let path = directory.path().join("runtime").join(file.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.contents).unwrap();
        }
        let client = start(&directory, Isolation::Full).await;
        Self { client, directory }
    }

    fn request(&self, name: &str) -> LaunchRequest {
        let runtimes = Runtimes::discover(&SearchPaths::default());
        let names = runtimes.list().iter().map(|offered| offered.identifier().to_string());
        let runtime = names.into_iter().find(|name| name.starts_with("python"));
        let task = self.directory.path().join("task");
        let layout = runtimes.layout(&spec(&runtime.expect("install python3"), &task)).unwrap();
        let mut binds = vec![Bind { source: task, target: PathBuf::from("/var/task") }];
        binds.push(Bind { source: self.directory.path().join("runtime"), target: PathBuf::from("/var/runtime") });
        binds.extend(layout.visible_paths.iter().map(|path| Bind { source: path.clone(), target: path.clone() }));
        let arguments = layout.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        LaunchRequest {
            id: 0,
            name: name.to_owned(),
            program: layout.executable,
            arguments: arguments.chain([BLANK_ARGUMENT.to_owned()]).collect(),
            wrapper: None,
            environment: vec![
                ("LANG".to_owned(), "C.UTF-8".to_owned()),
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ],
            working_directory: PathBuf::from("/"),
            binds,
            memory_mb: 128,
            ephemeral_mb: 512,
            temporary: false,
            control: true,
            runtime_api: false,
            relay: false,
            ahead: Some(Ahead::Booted),
            zygote: None,
            defences: Defences::default(),
        }
    }

    /// A function in a blank that was forked, or executed.
    async fn instance(&self, request: LaunchRequest) -> Box<dyn Instance> {
        let mut process = launch(&self.client, request, Outfit::default()).await.unwrap();
        let answer =
            tokio::time::timeout(LIMIT, FrameReader::default().read(&mut process.control)).await.unwrap().unwrap();
        assert_eq!(answer.kind, AnswerKind::Ready);
        let environment = [("LANG", "C.UTF-8"), ("TABLE", "users"), ("_HANDLER", "app.handler"), ("TZ", "Asia/Tokyo")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let assignment =
            Assignment { environment: &environment, handler: "app.handler", working_directory: "/var/task" };
        process.control.write_all(frames::assignment_frame(&frames::assignment(&assignment))).await.unwrap();
        let mut instance = instance_of(process);
        let mut lines = Lines::default();
        let initialised = instance.initialise(LIMIT, &mut lines).await;
        assert!(initialised.is_ok(), "{initialised:?} {:?}", lines.0);
        instance
    }

    async fn executed(&self) -> Value {
        call(&mut *self.instance(self.request("executed")).await).await
    }

    /// The answer of a forked one; the first ones are executed, while the zygote boots.
    async fn forked(&self, name: &str) -> Value {
        let (_instance, value) = self.forked_instance(name).await;
        value
    }

    async fn forked_instance(&self, name: &str) -> (Box<dyn Instance>, Value) {
        let forked = async {
            for number in 0.. {
                let mut request = self.request(&format!("{name}-{number}"));
                request.zygote = zygote_of(&request);
                let mut instance = self.instance(request).await;
                let value = call(&mut *instance).await;
                if value["forked"] == true {
                    return (instance, value);
                }
            }
            unreachable!("the loop has no end")
        };
        tokio::time::timeout(Duration::from_secs(60), forked).await.unwrap()
    }
}

async fn call(instance: &mut dyn Instance) -> Value {
    let mut lines = Lines::default();
    let reply = instance.invoke(invocation(ID, "{}"), &mut lines).await;
    match reply {
        Ok(Reply::Success(document)) => serde_json::from_slice(&document).unwrap(),
        other => panic!("{other:?} {:?}", lines.0),
    }
}

#[tokio::test]
async fn a_forked_runtime_is_enclosed_as_an_executed_one_is() {
    let ground = Ground::prepare(PROBE).await;
    let (executed, forked) = (ground.executed().await, ground.forked("probe").await);
    for (aspect, value) in executed.as_object().unwrap().iter().filter(|(aspect, _)| *aspect != "forked") {
        assert_eq!(&forked[aspect], value, "{aspect}");
    }
    assert_eq!((&executed["forked"], &forked["forked"]), (&Value::Bool(false), &Value::Bool(true)));
    ground.client.shut_down().await;
}

#[tokio::test]
async fn the_end_of_a_forked_runtime_is_told_and_takes_the_sandbox_along() {
    let ground = Ground::prepare(
        "import os\ndef handler(event, context):\n    if event: os._exit(event)\n    return {'forked': b'--zygote' in open('/proc/self/cmdline', 'rb').read()}",
    )
    .await;
    let (mut instance, _) = ground.forked_instance("ends").await;
    let mut lines = Lines::default();
    let reply = instance.invoke(invocation(ID, "7"), &mut lines).await;
    assert!(matches!(reply, Err(crate::InvokeFailure::Exited(crate::ProcessExit::Code(7)))), "{reply:?}");
    ground.client.shut_down().await;
}

/// Everything random that siblings could share, from the modules that functions use.
const RANDOM: &str = r#"
import os, random, secrets, ssl, tempfile, threading, uuid, multiprocessing, logging
def handler(event, context):
    record = logging.makeLogRecord({})
    return {
        "forked": b"--zygote" in open("/proc/self/cmdline", "rb").read(),
        "random": [random.random(), random.getrandbits(64), secrets.token_hex(8), os.urandom(8).hex(), ssl.RAND_bytes(8).hex(),
                   str(uuid.uuid4()), str(uuid.uuid1()), tempfile.mktemp(), context.aws_request_id and os.urandom(4).hex()],
        "pids": [os.getpid(), multiprocessing.current_process().ident, record.process, threading.get_native_id(),
                 threading.main_thread().native_id],
        "threads": [thread.name for thread in threading.enumerate()],
    }
"#;

#[tokio::test]
async fn siblings_share_no_randomness_and_know_their_own_pids() {
    let ground = Ground::prepare(RANDOM).await;
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for number in 0..6 {
        let value = ground.forked(&format!("sibling-{number}")).await;
        for random in value["random"].as_array().unwrap() {
            seen.insert(random.to_string());
            count += 1;
        }
        let pids: BTreeSet<u64> = value["pids"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect();
        assert_eq!(pids.len(), 1, "{value}");
        assert_eq!(value["threads"], serde_json::json!(["MainThread"]));
    }
    assert_eq!(seen.len(), count);
    ground.client.shut_down().await;
}

/// Processes of this launcher's zygotes: they are started from the test's own directory of runtimes.
fn zygotes(directory: &Path) -> Vec<i32> {
    let ours = |pid: &i32| {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let mounts = String::from_utf8_lossy(&read("mountinfo")).into_owned();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        read("cmdline").ends_with(b"--zygote\0")
            && mounts.contains(&name)
            && !String::from_utf8_lossy(&read("status")).contains("Seccomp:\t2")
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours).collect()
}

#[tokio::test]
async fn a_zygote_that_is_killed_or_hangs_is_replaced_and_ends_with_the_launcher() {
    let ground = Ground::prepare(PROBE).await;
    ground.forked("first").await;
    let [killed] = zygotes(ground.directory.path())[..] else { panic!("one zygote") };
    let signal = |pid, signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    };
    signal(killed, rustix::process::Signal::KILL);
    ground.forked("second").await;
    let [hung] = zygotes(ground.directory.path())[..] else { panic!("one zygote") };
    assert_ne!(hung, killed);
    signal(hung, rustix::process::Signal::STOP);
    // The launch that finds it so fails, after a while; what follows does not.
    let mut request = ground.request("unlucky");
    request.zygote = zygote_of(&request);
    let unlucky = launch(&ground.client, request, Outfit::default()).await;
    assert!(unlucky.is_err_and(|error| error.to_string().contains("hangs")));
    ground.forked("third").await;
    ground.client.shut_down().await;
    assert_eq!(zygotes(ground.directory.path()), Vec::<i32>::new());
}

#[tokio::test]
async fn a_zygote_holds_one_capability_and_has_no_network() {
    let ground = Ground::prepare(PROBE).await;
    ground.forked("first").await;
    let [pid] = zygotes(ground.directory.path())[..] else { panic!("one zygote") };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in
        ["CapEff:\t0000000000200000", "CapBnd:\t0000000000200000", "CapInh:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "{line} is missing in:\n{status}");
    }
    let devices = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    assert_eq!(devices.lines().skip(2).map(|line| line.split(':').next().unwrap().trim()).collect::<Vec<_>>(), ["lo"]);
    ground.client.shut_down().await;
}
