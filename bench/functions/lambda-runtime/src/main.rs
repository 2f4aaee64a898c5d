//! The measured function on `lambda_runtime`: gives the event back and says whether it is the instance's first.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Map, Value, json};

static SERVED: AtomicBool = AtomicBool::new(false);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload.get("probe").is_some() {
        return probe();
    }
    let start = if SERVED.swap(true, Ordering::Relaxed) { "again" } else { "first" };
    Ok(json!({"start": start, "event": event.payload}))
}

/// What the process sees of its own confinement.
fn probe() -> Result<Value, Error> {
    let mut namespaces = Map::new();
    for kind in ["pid", "mnt", "ipc", "uts", "net", "user"] {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        namespaces.insert(kind.to_owned(), link.to_string_lossy().into());
    }
    Ok(json!({"status": fs::read_to_string("/proc/self/status")?, "namespaces": namespaces}))
}
