//! The handler of the `lambda_runtime` column: what each operation of the behaviours does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, process, thread};

use lambda_runtime::streaming::{Body, Response};
use lambda_runtime::{Context, Diagnostic, Error, FunctionResponse, LambdaEvent, StreamResponse, service_fn};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

static CALLS: AtomicU64 = AtomicU64::new(0);
static GAP_MS: AtomicU64 = AtomicU64::new(0);

/// A failure whose type the error document names.
#[derive(Debug)]
struct Odd(String);

impl From<Odd> for Diagnostic {
    fn from(odd: Odd) -> Self {
        Self { error_type: "Odd".to_owned(), error_message: odd.0 }
    }
}

enum Answer {
    Plain(Value),
    Unserialisable,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Unserialisable => Err(serde::ser::Error::custom("cannot be serialised")),
        }
    }
}

type Outcome = FunctionResponse<Answer, Body>;

fn plain(value: impl Into<Value>) -> Result<Outcome, Odd> {
    Ok(FunctionResponse::BufferedResponse(Answer::Plain(value.into())))
}

fn context_of(context: &Context) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let configuration = &context.env_config;
    json!({
        "requestId": context.request_id,
        "functionName": configuration.function_name,
        "functionVersion": configuration.version,
        "memoryMb": configuration.memory,
        "arn": context.invoked_function_arn,
        "logGroup": configuration.log_group,
        "logStream": configuration.log_stream,
        "remainingMs": context.deadline.saturating_sub(now.as_millis() as u64),
        "custom": context.client_context.as_ref().map(|client| json!(client.custom)),
        "trace": context.xray_trace_id,
    })
}

fn tick() {
    let mut last = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(10));
        GAP_MS.fetch_max(last.elapsed().as_millis() as u64, Ordering::SeqCst);
        last = Instant::now();
    }
}

async fn operate(instance: &str, event: LambdaEvent<Value>) -> Result<Outcome, Odd> {
    let (payload, context) = event.into_parts();
    let Some(operation) = payload.get("op").and_then(Value::as_str) else { return plain(payload) };
    let value = payload.get("value").cloned().unwrap_or_default();
    let number = value.as_u64().unwrap_or_default();
    let text = value.as_str().unwrap_or_default();
    match operation {
        "context" => plain(context_of(&context)),
        "environment" => plain(json!(env::vars().collect::<BTreeMap<_, _>>())),
        "fail" => Err(Odd(text.to_owned())),
        "panic" => panic!("{text}"),
        "exit" => process::exit(number as i32),
        "signal" => {
            // Twice: Rust's own handler of SIGSEGV puts the default back at the first that is no stack overflow.
            for _ in 0..2 {
                let kill = format!("kill -{number} {}", process::id());
                process::Command::new("/bin/sh").args(["-c", &kill]).status().expect("a shell");
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            plain("alive")
        }
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            plain("slept")
        }
        "letters" => plain("x".repeat(number as usize)),
        "length" => plain(text.chars().count()),
        "unserialisable" => Ok(FunctionResponse::BufferedResponse(Answer::Unserialisable)),
        "print" => {
            for line in value.as_array().into_iter().flatten() {
                let written = match line[0].as_str() {
                    Some("out") => writeln!(std::io::stdout(), "{}", line[1].as_str().unwrap_or_default()),
                    _ => writeln!(std::io::stderr(), "{}", line[1].as_str().unwrap_or_default()),
                };
                written.expect("output is open");
            }
            plain(Value::Null)
        }
        "count" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            plain(json!({ "instance": instance, "calls": CALLS.fetch_add(1, Ordering::SeqCst) + 1 }))
        }
        "write" => {
            let (path, text) = (value["path"].as_str().unwrap_or_default(), value["text"].as_str().unwrap_or_default());
            plain(if fs::write(path, text).is_ok() { "written" } else { "refused" })
        }
        "read" => plain(fs::read_to_string(text).map_or(Value::Null, Value::from)),
        "list" => {
            let entries = fs::read_dir(text).expect("a directory").flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            plain(json!(names))
        }
        "stat" => {
            let found = fs::metadata(text).expect("a file");
            plain(json!({ "mode": format!("{:o}", found.mode() & 0o7777), "owner": found.uid() }))
        }
        "cwd" => plain(env::current_dir().unwrap_or_default().to_string_lossy().into_owned()),
        "run" => {
            let ran = process::Command::new("/bin/sh").args(["-c", text]).output().expect("a shell");
            plain(String::from_utf8_lossy(&ran.stdout).into_owned())
        }
        "ticks" => {
            if value == Value::Bool(true) {
                thread::spawn(tick);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            plain(GAP_MS.load(Ordering::SeqCst))
        }
        "allocate" => {
            let kept: Vec<Vec<u8>> = (0..number).map(|_| vec![1; 1_000_000]).collect();
            plain(if kept.iter().all(|part| part[part.len() - 1] == 1) { "allocated" } else { "" })
        }
        "stream" => {
            let parts = value.as_array().cloned().unwrap_or_default();
            let (mut sender, body) = lambda_runtime::streaming::channel();
            tokio::spawn(async move {
                for part in parts {
                    let part = part.as_str().unwrap_or_default().to_owned();
                    if sender.send_data(part.into()).await.is_err() {
                        return;
                    }
                }
            });
            Ok(FunctionResponse::StreamingResponse(StreamResponse::from(Response::from(body))))
        }
        unknown => Err(Odd(format!("no operation {unknown}"))),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    println!("initialising");
    match env::var("INIT").as_deref() {
        Ok("fail") => return Err("at init".into()),
        Ok("exit") => process::exit(9),
        _ => {}
    }
    let instance = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    let instance = instance.trim();
    lambda_runtime::run(service_fn(async |event| operate(instance, event).await)).await
}
