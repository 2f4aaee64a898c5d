//! What this host offers to sandboxes, and what each missing piece costs.

mod facts;
mod findings;

pub use findings::{Finding, Status};

pub(crate) use facts::HostFacts;
pub(crate) use findings::UNLIMITED;

use crate::sandbox::{Sandbox, SandboxOptions};

/// Examines the host: reads what the kernel tells, and builds one sandbox to see whether it really can.
pub async fn examine(options: SandboxOptions) -> Vec<Finding> {
    let facts = HostFacts::read();
    let runtimes = findings::of_runtimes(&options.runtimes);
    let (mut egress, mut temporary) = (None, None);
    let attempt = match Sandbox::start(options).await {
        Ok(sandbox) => {
            egress = Some(findings::of_egress(sandbox.egress_lack()));
            temporary = Some(findings::of_temporary(sandbox.temporary_lack()));
            sandbox.shut_down().await;
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let mut findings = vec![findings::of_attempt(attempt.as_deref(), facts.root)];
    findings.extend(findings::of_host(&facts, attempt.is_none()));
    findings.extend(egress);
    findings.extend(temporary);
    findings.push(runtimes);
    findings
}
