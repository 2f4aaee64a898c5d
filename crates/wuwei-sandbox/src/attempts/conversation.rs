//! Calls of hostile functions by way of their instances, as the engine makes them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use uuid::Uuid;
use wuwei_model::{EgressPolicy, FunctionKey, InvocationId, Runtime};

use crate::defence::{Defence, leave_out};
use crate::{
    EgressOptions, Instance, InstanceFactory as _, InstanceIdentity, InstanceSpec, Invocation, OutputSink, Reply,
    Runtimes, Sandbox, SandboxMode, SandboxOptions, SearchPaths, StockOptions,
};

/// How much of an answer is told.
const REPLY_BYTES: usize = 100;
/// Time for an instance to initialise.
const INIT: Duration = Duration::from_secs(10);

/// Calls to make.
#[derive(Debug, Deserialize)]
pub(super) struct Converse {
    pub(super) id: u64,
    left_out: Vec<Defence>,
    /// Start of a runtime's identifier, such as `python`.
    runtime: String,
    code: PathBuf,
    calls: u32,
    timeout_ms: u64,
}

/// Holds conversations, one at a time.
pub(super) struct Conversations {
    sandbox: Sandbox,
    runtimes: Runtimes,
}

struct Silence;

impl OutputSink for Silence {
    fn write_line(&mut self, _at: SystemTime, text: &str) {
        tracing::debug!(text, "output");
    }
}

impl Conversations {
    pub(super) async fn start(directory: &Path, program: PathBuf, arguments: Vec<String>) -> io::Result<Self> {
        let directories = ["/usr/bin", "/usr/local/bin"].map(PathBuf::from).to_vec();
        let runtimes = Runtimes::discover(&SearchPaths { directories, ..SearchPaths::default() });
        let options = SandboxOptions {
            data_dir: directory.join("data"),
            mode: SandboxMode::Full,
            launcher_program: program,
            launcher_arguments: arguments,
            steward: None,
            runtimes: runtimes.clone(),
            egress: EgressOptions { filler_arguments: None, default: EgressPolicy::None },
            stock: StockOptions::default(),
            keeper_arguments: None,
        };
        Ok(Self { sandbox: Sandbox::start(options).await.map_err(io::Error::other)?, runtimes })
    }

    /// Starts an instance and calls it until it fails; what came of each call.
    pub(super) async fn hold(&self, converse: &Converse) -> Vec<String> {
        leave_out(converse.left_out.clone());
        let replies = self.call(converse).await.unwrap_or_else(|error| vec![format!("no instance: {error}")]);
        leave_out(Vec::new());
        replies
    }

    async fn call(&self, converse: &Converse) -> Result<Vec<String>, String> {
        let mut instance = self.sandbox.launch(self.spec(converse)?).await.map_err(|error| error.to_string())?;
        instance.initialise(INIT, &mut Silence).await.map_err(|failure| format!("{failure:?}"))?;
        let mut replies = Vec::new();
        for _ in 0..converse.calls {
            let reply = invoke(instance.as_mut(), Duration::from_millis(converse.timeout_ms)).await;
            let goes_on = reply.is_ok();
            replies.push(reply.unwrap_or_else(|failure| failure));
            if !goes_on {
                break;
            }
        }
        instance.stop().await;
        Ok(replies)
    }

    fn spec(&self, converse: &Converse) -> Result<InstanceSpec, String> {
        let offered = self.runtimes.list().iter().map(|runtime| runtime.identifier().to_string());
        let runtime = match converse.runtime.as_str() {
            "provided" => Some("provided.al2023".to_owned()),
            family => offered.into_iter().find(|identifier| identifier.starts_with(family)),
        };
        let runtime = runtime.ok_or_else(|| format!("this host has no `{}`", converse.runtime))?;
        let environment =
            [("LAMBDA_TASK_ROOT", "/var/task"), ("LAMBDA_RUNTIME_DIR", "/var/runtime"), ("_HANDLER", "app.handler")];
        let (account, region, name) = ("000000000000".to_owned(), "us-east-1".to_owned(), "hostile".to_owned());
        let identity = InstanceIdentity {
            function: FunctionKey { account, region, name },
            role: "arn:aws:iam::000000000000:role/hostile".to_owned().into(),
        };
        Ok(InstanceSpec {
            instance_id: Uuid::new_v4().simple().to_string(),
            identity,
            runtime: Runtime::new(&runtime),
            code_dir: converse.code.clone(),
            layers_dir: None,
            handler: "app.handler".to_owned(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            memory_mb: 256,
            ephemeral_mb: 512,
            temporary_files: crate::TemporaryFiles::default(),
            egress: None,
        })
    }

    pub(super) async fn shut_down(&self) {
        self.sandbox.shut_down().await;
    }
}

async fn invoke(instance: &mut dyn Instance, timeout: Duration) -> Result<String, String> {
    let invocation = Invocation {
        id: InvocationId::new(Uuid::new_v4().to_string()),
        payload: Bytes::from_static(b"{}"),
        deadline: SystemTime::now() + timeout,
        timeout,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:hostile".to_owned(),
        trace_id: String::new(),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        stream: None,
    };
    match instance.invoke(invocation, &mut Silence).await {
        Ok(Reply::Success(body)) => {
            Ok(format!("answer: {}", String::from_utf8_lossy(body.get(..REPLY_BYTES).unwrap_or(&body))))
        }
        Ok(other) => Ok(format!("{other:?}")),
        Err(failure) => Err(format!("failure: {failure}")),
    }
}
