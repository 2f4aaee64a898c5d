//! Plain child processes in place of sandboxes, for tests.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use wuwei_model::{FunctionKey, InvocationId, Runtime};

use super::{PYTHON_FILES, RuntimeFile, instance_of, node, python_arguments};
use crate::control_socket::ControlSocket;
use crate::discovery::{NodeInterpreter, OfferedRuntime, PythonInterpreter, Runtimes, SearchPaths};
use crate::instance::{Instance, InstanceSpec, Invocation, OutputSink, ProcessExit, Usage};
use crate::process::{ProcessControls, SandboxedProcess};
use crate::relay::InstanceIdentity;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Gathers lines.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<String>);

impl OutputSink for Lines {
    fn write_line(&mut self, _at: SystemTime, text: &str) {
        self.0.push(text.to_owned());
    }
}

struct ChildControls(OwnedFd);

impl ProcessControls for ChildControls {
    fn cpu_us(&self) -> u64 {
        self.usage().cpu_us
    }

    fn peak_memory_bytes(&self) -> u64 {
        self.usage().peak_memory_bytes
    }

    fn usage(&self) -> Usage {
        Usage { cpu_us: 7, peak_memory_bytes: 11 }
    }
    fn reset_peak_memory(&self) {}
    fn freeze(&self) {}
    fn thaw(&self) {}
    fn kill(&self) {
        match pidfd_send_signal(&self.0, Signal::KILL) {
            // Ended already.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("kill a test process: {error}"),
        }
    }
}

impl Drop for ChildControls {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An instance and the files it needs.
pub(crate) struct Function {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) lines: Lines,
    directory: TempDir,
}

impl Function {
    /// Starts the bootstrap with `app.handler` of this module.
    pub(crate) fn python(code: &str) -> Self {
        Self::python_with(code, "app.handler", &[])
    }

    pub(crate) fn python_with(code: &str, handler: &str, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("app.py"), code).unwrap();
        let bootstrap = write_runtime(&directory, &PYTHON_FILES);
        let mut command = through_shell(&test_interpreter().executable);
        command.args(python_arguments(&bootstrap)).env("_HANDLER", handler).env("LAMBDA_TASK_ROOT", directory.path());
        command.envs(environment.iter().copied());
        Self::start(command, None, directory)
    }

    /// Starts the bootstrap of Node.js with `app.handler` of this CommonJS module.
    pub(crate) fn node(code: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("app.js"), code).unwrap();
        let bootstrap = write_runtime(&directory, &node::FILES);
        let mut command = through_shell(&test_node().executable);
        command.args(node::arguments(&bootstrap, 128, &[]));
        command.env("_HANDLER", "app.handler").env("LAMBDA_TASK_ROOT", directory.path());
        Self::start(command, None, directory)
    }

    /// Starts an executable with this text as a custom runtime.
    pub(crate) fn custom(bootstrap: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bootstrap");
        std::fs::write(&path, bootstrap).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut command = through_shell(&path);
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string());
        Self::start(command, Some(TcpListener::from_std(listener).unwrap()), directory)
    }

    fn start(mut command: Command, runtime_api: Option<TcpListener>, directory: TempDir) -> Self {
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(directory.path());
        let process = spawn(command, runtime_api).unwrap();
        Self { instance: instance_of(process), lines: Lines::default(), directory }
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn initialise(&mut self) -> Result<(), crate::InitFailure> {
        self.instance.initialise(LIMIT, &mut self.lines).await
    }

    pub(crate) async fn invoke(&mut self, payload: impl Into<Bytes>) -> Result<crate::Reply, crate::InvokeFailure> {
        self.instance.invoke(invocation(ID, payload), &mut self.lines).await
    }

    /// Initialises, then invokes once.
    pub(crate) async fn call(&mut self, payload: impl Into<Bytes>) -> Result<crate::Reply, crate::InvokeFailure> {
        let initialised = self.initialise().await;
        assert!(initialised.is_ok(), "{initialised:?} {:?}", self.lines.0);
        self.invoke(payload).await
    }
}

/// Puts the files of a runtime beside a function; gives the path of the first.
fn write_runtime(directory: &TempDir, files: &[RuntimeFile]) -> PathBuf {
    let root = directory.path().join("runtime");
    for file in files {
        let path = root.join(file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.contents).unwrap();
    }
    root.join(files[0].name)
}

/// An instance's specification with this runtime and code.
pub(crate) fn spec(runtime: &str, code_dir: &Path) -> InstanceSpec {
    InstanceSpec {
        instance_id: "0".repeat(32),
        identity: InstanceIdentity {
            function: FunctionKey { account: "0".repeat(12), region: "us-east-1".to_owned(), name: "f".to_owned() },
            role: "arn:aws:iam::000000000000:role/r".to_owned().into(),
        },
        runtime: Runtime::new(runtime),
        code_dir: code_dir.to_owned(),
        layers_dir: None,
        handler: "app.handler".to_owned(),
        environment: Vec::new(),
        memory_mb: 128,
        ephemeral_mb: 512,
        temporary_files: crate::TemporaryFiles::default(),
        egress: None,
    }
}

pub(crate) fn invocation(id: &str, payload: impl Into<Bytes>) -> Invocation {
    Invocation {
        id: InvocationId::new(id),
        payload: payload.into(),
        deadline: SystemTime::now() + LIMIT,
        timeout: LIMIT,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned(),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        stream: None,
    }
}

/// The interpreter that the tests run with.
pub(crate) fn test_interpreter() -> &'static PythonInterpreter {
    static FOUND: OnceLock<PythonInterpreter> = OnceLock::new();
    FOUND.get_or_init(|| {
        let runtimes = Runtimes::discover(&SearchPaths::default());
        let python = runtimes.list().iter().find_map(|offered| match offered {
            OfferedRuntime::Python(interpreter) => Some(interpreter.clone()),
            OfferedRuntime::Node(_) | OfferedRuntime::Provided(_) => None,
        });
        python.expect("these tests need Python 3.8 to 3.14 in /usr/bin or /usr/local/bin: install python3")
    })
}

/// The Node.js that the tests run with.
pub(crate) fn test_node() -> &'static NodeInterpreter {
    static FOUND: OnceLock<NodeInterpreter> = OnceLock::new();
    FOUND.get_or_init(|| {
        let runtimes = Runtimes::discover(&SearchPaths::default());
        let node = runtimes.list().iter().find_map(|offered| match offered {
            OfferedRuntime::Node(interpreter) => Some(interpreter.clone()),
            OfferedRuntime::Python(_) | OfferedRuntime::Provided(_) => None,
        });
        node.expect("these tests need Node.js 20, 22 or 24 in /usr/bin or /usr/local/bin: install nodejs")
    })
}

/// The shell moves the socket from stdin to descriptor 3, since a child process cannot be told to without `unsafe`.
#[expect(clippy::disallowed_methods, reason = "this crate is the one that starts processes")]
fn through_shell(program: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"]).arg(program);
    command
}

fn spawn(mut command: Command, runtime_api: Option<TcpListener>) -> io::Result<SandboxedProcess> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    command.stdout(Stdio::from(write.as_fd().try_clone_to_owned()?)).stderr(Stdio::from(write));
    let mut child = command.spawn()?;
    drop(command);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let controls = Arc::new(ChildControls(pidfd_open(pid, PidfdFlags::empty())?));
    let (sender, exit) = watch::channel(None);
    std::thread::spawn(move || {
        let status = child.wait().unwrap();
        let exit = status.code().map_or_else(|| ProcessExit::Signal(status.signal().unwrap()), ProcessExit::Code);
        sender.send_replace(Some(exit));
    });
    let output = pipe::Receiver::from_owned_fd(read)?;
    Ok(SandboxedProcess {
        reaped: Arc::default(),
        control: ControlSocket::new(ours)?,
        runtime_api,
        relay_listener: None,
        relay: None,
        lease: None,
        output,
        exit,
        controls,
    })
}
