mod report;

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::Session;
use crate::arguments::InvokeOptions;
use crate::client::{Answer, Client, Question, function_path};
use crate::failure::{Exit, Failure};
use crate::output::{BAD, FAINT};
use report::Report;

/// Calls a function: its answer goes to standard output, its log and what it used to standard error.
pub(crate) async fn run(session: &Session, options: InvokeOptions) -> Result<Exit, Failure> {
    let event = read_event(options.data.as_deref())?;
    let client = Client::connect(session)?;
    let question = Question::new(Method::POST, function_path(&options.name, "/invocations"))
        .header("x-amz-log-type", "Tail")
        .header("content-type", "application/json")
        .body(event);
    let answer = client.ask(question).await?;
    let log = log_tail(&answer);
    let report = Report::find(&log);
    let function_error = answer.header("x-amz-function-error").map(str::to_owned);
    let console = session.console;
    if console.is_json() {
        let payload = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&answer.body).into_owned()));
        console.json(&json!({
            "status_code": answer.status.as_u16(),
            "executed_version": answer.header("x-amz-executed-version"),
            "function_error": function_error,
            "payload": payload,
            "log": log,
            "report": report,
        }))?;
    } else {
        for line in log.lines().filter(|line| !report::is_frame(line)) {
            console.remark(&format!("{FAINT}{line}{FAINT:#}"));
        }
        console.raw(&answer.body)?;
        if let Some(report) = report {
            console.remark(&format!("{FAINT}{report}{FAINT:#}"));
        }
        if let Some(kind) = &function_error {
            console.remark(&format!(
                "{BAD}function error:{BAD:#} {kind}; `wuwei logs {}{}` shows the whole log",
                options.name,
                session.data_dir_option()
            ));
        }
    }
    Ok(if function_error.is_some() { Exit::Negative } else { Exit::Done })
}

/// The event: JSON text, `@FILE`, `-` for standard input; `{}` when none is given.
fn read_event(data: Option<&str>) -> Result<Bytes, Failure> {
    match data {
        None => Ok(Bytes::from_static(b"{}")),
        Some("-") => {
            let mut event = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut event);
            read.map_err(|error| Failure::local("cannot read the event from standard input").because(error))?;
            Ok(event.into())
        }
        Some(text) => match text.strip_prefix('@') {
            None => Ok(Bytes::from(text.to_owned())),
            Some(path) => std::fs::read(path).map(Bytes::from).map_err(|error| {
                let failure = Failure::usage(format!("cannot read the event from `{path}`")).because(error);
                failure.hint("-d @FILE reads a file, -d '{}' is the event itself, -d - reads standard input")
            }),
        },
    }
}

fn log_tail(answer: &Answer) -> String {
    let decoded = answer.header("x-amz-log-result").and_then(|encoded| STANDARD.decode(encoded).ok());
    String::from_utf8_lossy(&decoded.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::read_event;
    use crate::failure::Exit;

    #[test]
    fn an_event_is_text_or_a_file_and_an_empty_object_by_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"[1]").unwrap();
        assert_eq!(&read_event(None).unwrap()[..], b"{}");
        assert_eq!(&read_event(Some("{\"a\":1}")).unwrap()[..], b"{\"a\":1}");
        assert_eq!(&read_event(Some(&format!("@{}", file.path().display()))).unwrap()[..], b"[1]");
        assert_eq!(read_event(Some("@/nowhere/at/all")).unwrap_err().exit(), Exit::Usage);
    }
}
