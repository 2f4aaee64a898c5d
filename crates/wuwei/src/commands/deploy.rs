mod remote;
mod url;

use std::collections::BTreeMap;

use serde_json::json;
use wuwei_model::CodeDigest;

use super::Session;
use super::ls::size;
use super::runtimes::offered;
use crate::arguments::{DeployOptions, EgressWish};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, GOOD, STRONG};
use crate::package::{Package, Source, Wishes};
use remote::{Deployed, Desired};
pub(crate) use url::address;

/// Packages a directory or file, and creates or updates the function.
pub(crate) async fn run(session: &Session, options: DeployOptions) -> Result<Exit, Failure> {
    let console = session.console;
    let source = Source::open(&options.path)?;
    let client = Client::connect(session)?;
    let runtimes = offered(&client).await?;
    let project = source.project.clone();
    let name = match options.name.or(project.name) {
        Some(name) => name,
        None => source.default_name()?,
    };
    let egress = match (options.egress, project.egress) {
        (Some(wish), _) => Some(wish),
        (None, Some(entries)) => Some(EgressWish::Own(entries.policy()?)),
        (None, None) => None,
    };
    let wishes = Wishes { runtime: options.runtime.or(project.runtime), handler: options.handler.or(project.handler) };
    let packaging = tokio::task::spawn_blocking(move || {
        source.package(&wishes, &runtimes, &|text| console.remark(&format!("{FAINT}{text}{FAINT:#}")))
    });
    let package =
        packaging.await.map_err(|error| Failure::local("cannot package the function").because(error)).flatten()?;
    let given: BTreeMap<String, String> =
        options.environment.into_iter().map(|variable| (variable.name, variable.value)).collect();
    let Package { runtime, handler, zip } = package;
    let desired = Desired {
        name,
        runtime,
        handler,
        digest: CodeDigest::of(&zip),
        size_bytes: u64::try_from(zip.len()).unwrap_or(u64::MAX),
        zip,
        memory_mb: options.memory.or(project.memory),
        timeout_s: options.timeout.or(project.timeout),
        environment: if given.is_empty() { project.environment } else { Some(given) },
        role: options.role,
        layers: layers_of(&client, options.layers, project.layers),
        egress,
    };
    let deployed = remote::deploy(&client, &desired).await?;
    let address = match options.url {
        Some(auth) => Some(url::ensure(&client, &desired.name, auth, options.url_mode).await?),
        None => None,
    };
    report(session, &desired, &deployed, address.as_deref())?;
    Ok(Exit::Done)
}

/// ARNs of layers; `None` leaves them as they are. A layer of the caller's own may be written as `name:version`.
fn layers_of(client: &Client, given: Vec<String>, project: Option<Vec<String>>) -> Option<Vec<String>> {
    let layers = if given.is_empty() { project? } else { given };
    let target = client.target();
    let arn = |layer: String| {
        if layer.starts_with("arn:") {
            layer
        } else {
            format!("arn:aws:lambda:{}:{}:layer:{layer}", target.region, target.account)
        }
    };
    Some(layers.into_iter().map(arn).collect())
}

fn report(session: &Session, desired: &Desired, deployed: &Deployed, address: Option<&str>) -> Result<(), Failure> {
    let console = session.console;
    let action = deployed.action.as_str();
    if console.is_json() {
        return console.json(&json!({
            "action": action,
            "name": desired.name,
            "arn": deployed.arn,
            "runtime": desired.runtime,
            "handler": desired.handler,
            "code_sha256": desired.digest.to_string(),
            "code_size": desired.size_bytes,
            "url": address,
        }));
    }
    console.line(&format!("{GOOD}{action}{GOOD:#} {STRONG}{}{STRONG:#}", desired.name))?;
    console.line(&format!("  arn      {}", deployed.arn))?;
    console.line(&format!("  runtime  {} ({})", desired.runtime, desired.handler))?;
    console.line(&format!("  code     {}, sha256 {}", size(desired.size_bytes), desired.digest))?;
    if let Some(address) = address {
        console.line(&format!("  url      {address}"))?;
    }
    let option = session.data_dir_option();
    console.line(&format!("  call it  wuwei invoke {} -d '{{}}'{option}", desired.name))
}
