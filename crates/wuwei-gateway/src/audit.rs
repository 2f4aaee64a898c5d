//! What is written down of each call that administers.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use wuwei_model::service::Access;
use wuwei_recorder::AuditEntry;

use crate::auth::{self, Principal};
use crate::face::{Door, Exchange};
use crate::wire::Answer;

/// Longest text of the caller's that is kept, in characters.
const TEXT_MAX: usize = 512;
/// Calls that do not administer, but use.
const USES: &[&str] = &["Invoke", "InvokeAsync", "InvokeWithResponseStream"];

/// What is known of a call so far; nothing of it is secret.
#[derive(Debug, Default)]
pub(crate) struct Note {
    service: &'static str,
    action: String,
    resource: String,
    /// Whether the call changes something, if it succeeds.
    is_change: bool,
    caller: Option<Caller>,
}

/// Somebody who is believed.
#[derive(Debug)]
struct Caller {
    account: String,
    arn: String,
    /// What is the same for all sessions of a role, which are cheap.
    shared: String,
}

impl Note {
    /// The service is known.
    pub(crate) fn service(&mut self, service: &'static str) {
        self.service = service;
    }

    /// Service and operation are known, and whether it changes something.
    pub(crate) fn action(&mut self, service: &'static str, action: &str, access: Access) {
        self.service = service;
        action.clone_into(&mut self.action);
        self.is_change = match access {
            // Sessions are many: what they do counts.
            Access::Write => action != "AssumeRole",
            Access::Read | Access::Invoke => false,
        };
    }

    /// What the call is about.
    pub(crate) fn resource(&mut self, resource: &str) {
        resource.clone_into(&mut self.resource);
    }

    /// Who has signed; somebody who is believed, for others must not write in another's name.
    pub(crate) fn caller(&mut self, principal: &Principal) {
        if !self.is_wanted() {
            return;
        }
        let arn = principal.arn();
        let shared = principal.role_arn().unwrap_or_else(|| arn.clone());
        self.caller = Some(Caller { account: principal.account.clone(), arn, shared });
    }

    /// Whether the call is one to be written down, as far as is known.
    fn is_wanted(&self) -> bool {
        !self.service.is_empty() && !USES.contains(&self.action.as_str())
    }

    /// The body is not the one that was signed: it is somebody else's.
    pub(crate) fn stranger(&mut self) {
        self.caller = None;
    }
}

/// Writes a call down once it is answered, if it is one to be written down.
pub(crate) fn record(exchange: &Exchange, answer: &Answer) {
    let Note { service, action, resource, is_change, caller } = &exchange.note;
    if !exchange.note.is_wanted() {
        return;
    }
    let parts = &exchange.parts;
    let error = answer.headers.iter().find(|(name, _)| name == "x-amzn-errortype").map(|(_, value)| text_of(value));
    let (account, principal, shared) = match caller {
        Some(Caller { account, arn, shared }) => (account.clone(), arn.clone(), shared.as_str()),
        None => (parts.options.account.clone(), String::new(), ""),
    };
    let query = exchange.head.uri.query().unwrap_or_default();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let entry = AuditEntry {
        time_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
        request_id: exchange.request_id.clone(),
        account,
        principal,
        key: bounded(&auth::claimed_key_id(&exchange.head.headers, query).unwrap_or_default()),
        source: match &exchange.door {
            Door::Public(peer) => peer.ip().to_string(),
            Door::Relay(line) => line.session.function().arn(),
        },
        service: (*service).to_owned(),
        action: bounded(action),
        resource: bounded(resource),
        status: answer.status.as_u16(),
        error: error.unwrap_or_default(),
        is_change: *is_change && caller.is_some() && answer.status.is_success(),
        left_out: 0,
    };
    parts.audit.write(shared, entry);
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Some of a text that anybody may have sent, without what a terminal would obey.
fn bounded(text: &str) -> String {
    let plain = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    text.chars().take(TEXT_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::{TEXT_MAX, bounded};

    #[test]
    fn texts_are_bounded_and_no_terminal_obeys_them() {
        assert_eq!(bounded("role/rôle"), "role/rôle");
        assert_eq!(bounded("a\u{1b}[2J\u{9b}1m\n"), "a\u{fffd}[2J\u{fffd}1m\u{fffd}");
        assert_eq!(bounded(&"x".repeat(TEXT_MAX + 1)).len(), TEXT_MAX);
    }
}
