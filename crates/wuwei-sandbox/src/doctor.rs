//! What this host offers to sandboxes, and what each missing piece costs.

mod facts;
mod findings;

pub use findings::{Finding, Status};

pub(crate) use facts::HostFacts;

use crate::sandbox::{Sandbox, SandboxOptions};

/// Examines the host: reads what the kernel tells, and builds one sandbox to see whether it really can.
pub async fn examine(options: SandboxOptions) -> Vec<Finding> {
    let facts = HostFacts::read();
    let runtimes = findings::of_runtimes(&options.runtimes);
    let mut findings = findings::of_host(&facts);
    let attempt = match Sandbox::start(options).await {
        Ok(sandbox) => {
            findings.push(findings::of_egress(sandbox.egress_lack()));
            sandbox.shut_down().await;
            None
        }
        Err(error) => Some(error.to_string()),
    };
    findings.insert(0, findings::of_attempt(attempt.as_deref(), facts.root));
    findings.push(runtimes);
    findings
}
