use serde_json::json;

use super::credentials::Ensured;
use super::server_file::RunningServer;
use crate::commands::Session;
use crate::config::Settings;
use crate::failure::Failure;
use crate::output::{FAINT, STRONG};

/// Says where the server is and what to do next; the server goes on when nobody can read it.
pub(super) fn print(session: &Session, settings: &Settings, running: &RunningServer, credentials: &Ensured) {
    if !settings.signed {
        tracing::warn!("authentication is off: any local process can deploy and run code");
    }
    if let Err(failure) = try_print(session, settings, running, credentials) {
        tracing::debug!("cannot greet: {}", failure.text());
    }
}

/// The secret stays in its file.
fn try_print(
    session: &Session,
    settings: &Settings,
    running: &RunningServer,
    credentials: &Ensured,
) -> Result<(), Failure> {
    let console = session.console;
    let key_id = &credentials.stored.access_key_id;
    if console.is_json() {
        return console.json(&json!({
            "endpoint": running.endpoint,
            "pid": running.pid,
            "data_dir": settings.data_dir,
            "access_key_id": key_id,
        }));
    }
    console.line(&format!("{STRONG}wuwei serves on {}{STRONG:#}", running.endpoint))?;
    if credentials.is_new {
        let path = credentials.path.display();
        console.line(&format!("A first access key was made: {key_id} (its secret is in {path})"))?;
    }
    console.line("In another terminal:")?;
    let option = session.data_dir_option();
    let advice = [
        (format!("wuwei deploy DIR{option}"), "package and deploy a function"),
        (format!("wuwei invoke NAME -d '{{}}'{option}"), "call it"),
        (format!("eval \"$(wuwei env{option})\""), "point aws and every AWS SDK at it"),
    ];
    let width = advice.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (command, purpose) in advice {
        console.line(&format!("  {command:width$}   {FAINT}# {purpose}{FAINT:#}"))?;
    }
    Ok(())
}
