use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use wuwei_model::{EgressPolicy, FunctionKey, InvocationId, Runtime};

use super::{Sandbox, SandboxMode, SandboxOptions, server_name, set_path};
use crate::runtimes::RuntimeLayout;
use crate::{
    EgressOptions, Instance, InstanceFactory as _, InstanceIdentity, InstanceSpec, Invocation, OutputSink, Reply,
    Runtimes, SearchPaths, StockOptions,
};

fn layout(path: &str) -> RuntimeLayout {
    RuntimeLayout {
        executable: "/x/python".into(),
        arguments: Vec::new(),
        visible_paths: Vec::new(),
        needs_runtime_api: false,
        path_env: path.into(),
    }
}

#[test]
fn the_interpreters_directory_goes_in_front_of_a_path_that_is_set() {
    let check = |set: Option<&str>, expected: &str| {
        let mut environment: Vec<(String, String)> =
            set.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
        set_path(&mut environment, &layout("/x:/usr/bin"));
        assert_eq!(environment, [("PATH".to_owned(), expected.to_owned())]);
    };
    check(None, "/x:/usr/bin");
    check(Some("/usr/bin:/opt/bin"), "/x:/usr/bin:/opt/bin");
}

#[test]
fn servers_of_different_directories_have_different_names() {
    assert_ne!(server_name(Path::new("/a")), server_name(Path::new("/b")));
    assert_eq!(server_name(Path::new("/a")).len(), 12);
}

struct Lines(Vec<String>);

impl OutputSink for Lines {
    fn write_line(&mut self, _at: SystemTime, text: &str) {
        self.0.push(text.to_owned());
    }
}

async fn start(directory: &tempfile::TempDir, mode: SandboxMode) -> Sandbox {
    let test = std::env::current_exe().unwrap();
    let options = SandboxOptions {
        data_dir: directory.path().join("data"),
        mode,
        launcher_program: test.parent().unwrap().parent().unwrap().join("examples/launcher"),
        launcher_arguments: Vec::new(),
        steward: None,
        runtimes: Runtimes::discover(&SearchPaths {
            directories: vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")],
            ..SearchPaths::default()
        }),
        egress: EgressOptions { filler_arguments: None, default: EgressPolicy::None },
        stock: StockOptions::default(),
        keeper_arguments: None,
    };
    Sandbox::start(options).await.unwrap()
}

fn code(directory: &tempfile::TempDir, file: &str, text: &str) -> PathBuf {
    let code = directory.path().join("code");
    std::fs::create_dir_all(&code).unwrap();
    let path = code.join(file);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    code
}

async fn launch(sandbox: &Sandbox, runtime: &str, code_dir: PathBuf) -> Box<dyn Instance> {
    let environment =
        [("LAMBDA_TASK_ROOT", "/var/task"), ("LAMBDA_RUNTIME_DIR", "/var/runtime"), ("_HANDLER", "app.handler")];
    let spec = InstanceSpec {
        instance_id: "0123456789abcdef0123456789abcdef".to_owned(),
        identity: InstanceIdentity {
            function: FunctionKey {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: "f".to_owned(),
            },
            role: "arn:aws:iam::000000000000:role/r".to_owned().into(),
        },
        runtime: Runtime::new(runtime),
        code_dir,
        layers_dir: None,
        handler: "app.handler".to_owned(),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        memory_mb: 128,
        ephemeral_mb: 512,
        temporary_files: crate::TemporaryFiles::default(),
        egress: None,
    };
    sandbox.launch(spec).await.unwrap()
}

async fn invoke(instance: &mut dyn Instance, lines: &mut Lines) -> Reply {
    let invocation = Invocation {
        id: InvocationId::new("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        payload: Bytes::from_static(b"{\"n\": 20}"),
        deadline: SystemTime::now() + Duration::from_secs(3),
        timeout: Duration::from_secs(3),
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        trace_id: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned(),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        stream: None,
    };
    instance.invoke(invocation, lines).await.unwrap()
}

const PYTHON: &str = "import os\nprint('imported')\ndef handler(event, context):\n    print('called')\n    return {'n': event['n'] + 1, 'pid': os.getpid()}\n";

const SHELL: &str = "#!/bin/sh\nset -e\nAPI=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime\nwhile :; do\n\
    python3 -I -S - \"$AWS_LAMBDA_RUNTIME_API\" <<'END'\nimport http.client, sys\n\
    c = http.client.HTTPConnection(sys.argv[1])\nc.request('GET', '/2018-06-01/runtime/invocation/next')\nr = c.getresponse()\n\
    r.read()\nc.request('POST', '/2018-06-01/runtime/invocation/%s/response' % r.headers['Lambda-Runtime-Aws-Request-Id'], b'\"shell\"')\n\
    c.getresponse().read()\nEND\ndone\n";

fn python(sandbox: &Sandbox) -> String {
    let list = sandbox.runtimes.list();
    let python = list.iter().map(|runtime| runtime.identifier()).find(|runtime| runtime.as_str().starts_with("python"));
    python.expect("a Python interpreter in /usr/bin: apt-get install python3").to_string()
}

async fn check_python(mode: SandboxMode) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = start(&directory, mode).await;
    let began = Instant::now();
    let mut instance = launch(&sandbox, &python(&sandbox), code(&directory, "app.py", PYTHON)).await;
    let mut lines = Lines(Vec::new());
    instance.initialise(Duration::from_secs(10), &mut lines).await.unwrap();
    let reply = invoke(instance.as_mut(), &mut lines).await;
    println!("cold {:?}", began.elapsed());
    let Reply::Success(body) = reply else { panic!("{reply:?} {:?}", lines.0) };
    assert!(body.starts_with(b"{\"n\": 21"), "{body:?}");
    assert_eq!(lines.0, ["imported", "called"]);
    assert!(instance.is_alive());
    instance.stop().await;
    sandbox.shut_down().await;
}

#[tokio::test]
async fn a_python_function_answers_from_a_full_sandbox() {
    check_python(SandboxMode::Full).await;
}

#[tokio::test]
async fn a_python_function_answers_in_reduced_isolation() {
    check_python(SandboxMode::Reduced).await;
}

async fn check_custom(mode: SandboxMode) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = start(&directory, mode).await;
    let mut instance = launch(&sandbox, "provided.al2023", code(&directory, "bootstrap", SHELL)).await;
    let mut lines = Lines(Vec::new());
    instance.initialise(Duration::from_secs(10), &mut lines).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            invoke(instance.as_mut(), &mut lines).await,
            Reply::Success(Bytes::from_static(b"\"shell\"")),
            "{:?}",
            lines.0
        );
    }
    drop(instance);
    sandbox.shut_down().await;
}

#[tokio::test]
async fn a_custom_runtime_answers_through_the_runtime_api_of_its_own_network() {
    check_custom(SandboxMode::Full).await;
}

#[tokio::test]
async fn a_custom_runtime_answers_in_reduced_isolation() {
    check_custom(SandboxMode::Reduced).await;
}
