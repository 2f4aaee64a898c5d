use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use wuwei_model::CodeDigest;

use crate::arguments::EgressWish;
use crate::client::{Client, Question, encode, function_path};
use crate::failure::{Exit, Failure};

/// How long the server may take to make a function ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// The first pause between two looks at a function's state; each further one is longer.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What the function shall be; `None` leaves a setting as it is, or to the server's default. `Debug` shows no values
/// of variables.
pub(super) struct Desired {
    pub(super) name: String,
    pub(super) runtime: String,
    pub(super) handler: String,
    pub(super) zip: Vec<u8>,
    pub(super) digest: CodeDigest,
    pub(super) size_bytes: u64,
    pub(super) memory_mb: Option<u32>,
    pub(super) timeout_s: Option<u32>,
    pub(super) environment: Option<BTreeMap<String, String>>,
    pub(super) role: Option<String>,
    /// ARNs, in order.
    pub(super) layers: Option<Vec<String>>,
    pub(super) egress: Option<EgressWish>,
}

impl fmt::Debug for Desired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Desired").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Desired {
    /// Members that CreateFunction and UpdateFunctionConfiguration share.
    fn configuration(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("Runtime".to_owned(), json!(self.runtime));
        members.insert("Handler".to_owned(), json!(self.handler));
        if let Some(memory_mb) = self.memory_mb {
            members.insert("MemorySize".to_owned(), json!(memory_mb));
        }
        if let Some(timeout_s) = self.timeout_s {
            members.insert("Timeout".to_owned(), json!(timeout_s));
        }
        if let Some(environment) = &self.environment {
            members.insert("Environment".to_owned(), json!({"Variables": environment}));
        }
        if let Some(role) = &self.role {
            members.insert("Role".to_owned(), json!(role));
        }
        if let Some(layers) = &self.layers {
            members.insert("Layers".to_owned(), json!(layers));
        }
        members
    }

    /// Whether every setting that was asked for is what the server has.
    fn matches(&self, current: &Value) -> bool {
        self.configuration().iter().all(|(member, wanted)| match current.get(member) {
            _ if member == "Layers" => self.layers.as_deref().is_none_or(|wanted| layers_in(current) == wanted),
            Some(found) => found == wanted,
            // AWS leaves the member out when there are no variables.
            None => member == "Environment" && self.environment.as_ref().is_some_and(BTreeMap::is_empty),
        })
    }
}

/// ARNs of the layers that a function has.
fn layers_in(current: &Value) -> Vec<&str> {
    let layers = current.get("Layers").and_then(Value::as_array).into_iter().flatten();
    layers.filter_map(|layer| layer.get("Arn").and_then(Value::as_str)).collect()
}

/// What was done.
#[derive(Debug)]
pub(super) struct Deployed {
    pub(super) arn: String,
    pub(super) action: Action,
}

/// How the function came to be what is desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It was not there.
    Created,
    /// Its code or settings were changed.
    Updated,
    /// It was so already.
    Unchanged,
}

impl Action {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Creates the function, or brings an existing one to what is desired; returns when it can be called.
pub(super) async fn deploy(client: &Client, desired: &Desired) -> Result<Deployed, Failure> {
    let path = function_path(&desired.name, "/configuration");
    let action = match client.try_ask(Question::new(Method::GET, path)).await? {
        Ok(answer) => {
            // First, so that new code never runs with what it shall not reach any more.
            let opened = set_egress(client, desired).await?;
            match update(client, desired, answer.json()?).await? {
                Action::Unchanged if opened => Action::Updated,
                action @ (Action::Created | Action::Updated | Action::Unchanged) => action,
            }
        }
        Err(refusal) if refusal.is_not_found() => {
            create(client, desired).await?;
            set_egress(client, desired).await?;
            Action::Created
        }
        Err(refusal) => return Err(refusal.into_failure()),
    };
    let ready = wait_until_ready(client, &desired.name).await?;
    let arn = ready.get("FunctionArn").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Deployed { arn, action })
}

async fn create(client: &Client, desired: &Desired) -> Result<(), Failure> {
    let mut members = desired.configuration();
    members.insert("FunctionName".to_owned(), json!(desired.name));
    members.insert("Code".to_owned(), json!({"ZipFile": STANDARD.encode(&desired.zip)}));
    // A native package is for the machine that it was made on; the API's default is x86_64.
    members.insert("Architectures".to_owned(), json!([architecture()]));
    members
        .entry("Role")
        .or_insert_with(|| json!(format!("arn:aws:iam::{}:role/wuwei-function", client.target().account)));
    client.ask(Question::new(Method::POST, "/2015-03-31/functions").json(&members)?).await?;
    Ok(())
}

/// Sets what the function may reach, when that was asked for and is not so; whether it changed.
async fn set_egress(client: &Client, desired: &Desired) -> Result<bool, Failure> {
    let Some(wish) = &desired.egress else { return Ok(false) };
    let path = format!("/_wuwei/v1/egress/{}", encode(&desired.name));
    let before = client.ask(Question::new(Method::GET, path.clone())).await?.json()?;
    let question = match wish {
        EgressWish::Default if before.get("source") == Some(&json!("server")) => return Ok(false),
        EgressWish::Default => Question::new(Method::DELETE, path),
        EgressWish::Own(policy) => {
            let is_own = before.get("source") == Some(&json!("function"));
            if is_own && before.get("egress") == Some(&json!(policy.to_string())) {
                return Ok(false);
            }
            Question::new(Method::PUT, path).json(&json!({"egress": policy.to_string()}))?
        }
    };
    client.ask(question).await?;
    Ok(true)
}

/// Changes what differs: code first, then settings, each waited for.
async fn update(client: &Client, desired: &Desired, mut current: Value) -> Result<Action, Failure> {
    let mut action = Action::Unchanged;
    // A change that somebody else has under way would refuse ours.
    if !is_settled(&current) {
        current = wait_until_ready(client, &desired.name).await?;
    }
    if current.get("CodeSha256").and_then(Value::as_str) != Some(desired.digest.to_string().as_str()) {
        let code = json!({"ZipFile": STANDARD.encode(&desired.zip), "Architectures": [architecture()]});
        client.ask(Question::new(Method::PUT, function_path(&desired.name, "/code")).json(&code)?).await?;
        wait_until_ready(client, &desired.name).await?;
        action = Action::Updated;
    }
    if !desired.matches(&current) {
        let path = function_path(&desired.name, "/configuration");
        client.ask(Question::new(Method::PUT, path).json(&desired.configuration())?).await?;
        action = Action::Updated;
    }
    Ok(action)
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

fn is_settled(configuration: &Value) -> bool {
    let is = |member: &str, value: &str| configuration.get(member).and_then(Value::as_str) == Some(value);
    !is("State", "Pending") && !is("LastUpdateStatus", "InProgress")
}

/// Looks at the function until it is active and its last change has ended; gives its configuration.
async fn wait_until_ready(client: &Client, name: &str) -> Result<Value, Failure> {
    let deadline = Instant::now() + READY_LIMIT;
    let mut pause = FIRST_PAUSE;
    loop {
        let path = function_path(name, "/configuration");
        let configuration = client.ask(Question::new(Method::GET, path)).await?.json()?;
        if is_settled(&configuration) {
            return check_outcome(name, configuration);
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(
                Exit::Refused,
                format!("`{name}` is not ready after {} s", READY_LIMIT.as_secs()),
            )
            .hint("the server's log says what it is doing"));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn check_outcome(name: &str, configuration: Value) -> Result<Value, Failure> {
    let text = |member: &str| configuration.get(member).and_then(Value::as_str);
    let reason = if text("State") == Some("Failed") {
        text("StateReason")
    } else if text("LastUpdateStatus") == Some("Failed") {
        text("LastUpdateStatusReason")
    } else {
        return Ok(configuration);
    };
    let what = format!("the server could not make `{name}` ready: {}", reason.unwrap_or("no reason given"));
    Err(Failure::new(Exit::Refused, what).hint("correct the function and deploy it again"))
}

#[cfg(test)]
mod tests {
    use super::{Desired, check_outcome, is_settled};
    use serde_json::json;
    use wuwei_model::CodeDigest;

    fn desired() -> Desired {
        Desired {
            name: "f".to_owned(),
            runtime: "python3.11".to_owned(),
            handler: "app.handler".to_owned(),
            zip: Vec::new(),
            digest: CodeDigest::of(b""),
            size_bytes: 0,
            memory_mb: None,
            timeout_s: Some(5),
            environment: None,
            role: None,
            layers: None,
            egress: None,
        }
    }

    #[test]
    fn only_settings_that_were_asked_for_are_compared() {
        let current = json!({"Runtime": "python3.11", "Handler": "app.handler", "Timeout": 5, "MemorySize": 512});
        assert!(desired().matches(&current));
        assert!(!Desired { memory_mb: Some(128), ..desired() }.matches(&current));
        assert!(
            !Desired { environment: Some([("A".to_owned(), "1".to_owned())].into()), ..desired() }.matches(&current)
        );
        assert!(Desired { environment: Some([].into()), ..desired() }.matches(&current));
        assert!(Desired { layers: Some(Vec::new()), ..desired() }.matches(&current));
        let with = |layers: &[&str]| Desired {
            layers: Some(layers.iter().map(|layer| (*layer).to_owned()).collect()),
            ..desired()
        };
        assert!(!with(&["one"]).matches(&current));
        let mut layered = current;
        layered["Layers"] = json!([{"Arn": "one", "CodeSize": 1}, {"Arn": "two", "CodeSize": 1}]);
        assert!(with(&["one", "two"]).matches(&layered));
        assert!(!with(&["two", "one"]).matches(&layered));
        assert!(desired().matches(&layered));
    }

    #[test]
    fn a_function_is_settled_when_nothing_is_under_way() {
        assert!(!is_settled(&json!({"State": "Pending", "LastUpdateStatus": "InProgress"})));
        assert!(!is_settled(&json!({"State": "Active", "LastUpdateStatus": "InProgress"})));
        assert!(is_settled(&json!({"State": "Active", "LastUpdateStatus": "Successful"})));
    }

    #[test]
    fn a_failed_change_gives_the_servers_reason() {
        let failed = json!({"State": "Active", "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no disk"});
        assert!(check_outcome("f", failed).unwrap_err().text().contains("no disk"));
        let failed = json!({"State": "Failed", "StateReason": "no memory"});
        assert!(check_outcome("f", failed).unwrap_err().text().contains("no memory"));
    }
}
