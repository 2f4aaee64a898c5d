use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::Session;
use super::ls::size;
use crate::arguments::LayerAction;
use crate::client::{Client, Question, encode};
use crate::failure::{Exit, Failure};
use crate::package::zip_of_path;

const PATH: &str = "/2018-10-31/layers";

/// Publishes, lists, removes or imports layers.
pub(crate) async fn run(session: &Session, action: LayerAction) -> Result<Exit, Failure> {
    let client = Client::connect(session)?;
    match action {
        LayerAction::Publish { name, path, runtimes, description } => {
            let zip = zip_of_path(&path)?;
            let mut members = json!({"Content": {"ZipFile": STANDARD.encode(zip)}});
            if !runtimes.is_empty() {
                members["CompatibleRuntimes"] = json!(runtimes);
            }
            if let Some(description) = description {
                members["Description"] = json!(description);
            }
            let question = Question::new(Method::POST, format!("{PATH}/{}/versions", encode(&name))).json(&members)?;
            let version = client.ask(question).await?.json()?;
            told(session, &version, "LayerVersionArn", "published")
        }
        LayerAction::Import { file, arn } => {
            let zip = zip_of_path(&file)?;
            let question = Question::new(Method::PUT, format!("/_wuwei/v1/layers/{}", encode(&arn))).body(zip);
            let version = client.ask(question).await?.json()?;
            told(session, &version, "arn", "imported")
        }
        LayerAction::Ls { name } => {
            let console = session.console;
            let items = match &name {
                Some(name) => {
                    pages(&client, &format!("{PATH}/{}/versions?MaxItems=50", encode(name)), "LayerVersions").await?
                }
                None => pages(&client, &format!("{PATH}?MaxItems=50"), "Layers").await?,
            };
            if console.is_json() {
                console.json(&items)?;
            } else if items.is_empty() {
                console.remark("no layers yet: `wuwei layer publish NAME DIR` makes one");
            } else {
                let rows: Vec<Vec<String>> = items.iter().map(row).collect();
                console.table(&["LAYER VERSION", "RUNTIMES", "CREATED", "DESCRIPTION"], &rows)?;
            }
            Ok(Exit::Done)
        }
        LayerAction::Rm { name, number } => {
            let path = format!("{PATH}/{}/versions/{number}", encode(&name));
            // To delete a version that is not there succeeds, as at AWS; who names one wants to know.
            client.ask(Question::new(Method::GET, path.clone())).await?;
            client.ask(Question::new(Method::DELETE, path)).await?;
            told(session, &json!({"removed": format!("{name}:{number}")}), "removed", "removed")
        }
    }
}

fn told(session: &Session, answer: &Value, member: &str, what: &str) -> Result<Exit, Failure> {
    let console = session.console;
    if console.is_json() {
        console.json(answer)?;
    } else {
        let bytes = answer.get("Content").unwrap_or(answer);
        let bytes = ["CodeSize", "code_size"].iter().find_map(|name| bytes.get(*name)).and_then(Value::as_u64);
        let shown = bytes.map_or_else(String::new, |bytes| format!("  {}", size(bytes)));
        console.line(&format!("{what} {}{shown}", answer.get(member).and_then(Value::as_str).unwrap_or("-")))?;
    }
    Ok(Exit::Done)
}

/// All pages of a list.
async fn pages(client: &Client, path: &str, member: &str) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let query = marker.as_ref().map_or_else(String::new, |marker| format!("&Marker={}", encode(marker)));
        let mut page = client.ask(Question::new(Method::GET, format!("{path}{query}"))).await?.json()?;
        if let Some(Value::Array(more)) = page.get_mut(member).map(Value::take) {
            items.extend(more);
        }
        match page.get("NextMarker").and_then(Value::as_str) {
            // A server that gives the same marker again would keep us here for ever.
            Some(next) if !next.is_empty() && marker.as_deref() != Some(next) => marker = Some(next.to_owned()),
            Some(_) | None => return Ok(items),
        }
    }
}

/// A version, or the last version of a layer.
fn row(item: &Value) -> Vec<String> {
    let version = item.get("LatestMatchingVersion").unwrap_or(item);
    let text = |key: &str| version.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let runtimes = version.get("CompatibleRuntimes").and_then(Value::as_array).into_iter().flatten();
    let runtimes: Vec<&str> = runtimes.filter_map(Value::as_str).collect();
    let runtimes = if runtimes.is_empty() { "any".to_owned() } else { runtimes.join(",") };
    vec![text("LayerVersionArn"), runtimes, text("CreatedDate"), text("Description")]
}
