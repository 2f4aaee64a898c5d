//! Which groups there are, and whose logs are in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use wuwei_model::FunctionKey;
use wuwei_recorder::{LogSummary, StreamSummary};
use wuwei_store::LogGroupRecord;

use super::error::LogsError;
use crate::auth::Principal;
use crate::gateway::Parts;

/// A log group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// What somebody has said of it.
    pub(super) record: Option<Arc<LogGroupRecord>>,
    /// Functions whose logs are in it, in order of name.
    pub(super) functions: Vec<FunctionKey>,
}

/// What is stored in a group.
pub(super) struct Contents {
    /// In order of name; of a stream that several functions have, all of it.
    pub(super) streams: Vec<StreamSummary>,
    pub(super) stored_bytes: u64,
}

/// `arn:aws:logs:<region>:<account>:log-group:<name>`.
pub(super) fn arn_of(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:logs:{region}:{account}:log-group:{name}")
}

/// All groups of an account that may be there, by name: also those of functions that have written nothing yet.
pub(super) async fn candidates(parts: &Parts, account: &str) -> Result<BTreeMap<String, Group>, LogsError> {
    let region = &parts.options.region;
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (function, name) in parts.store.functions().log_groups(account, region).await? {
        let group = groups.entry(name.clone()).or_insert_with(|| Group { name, record: None, functions: Vec::new() });
        group.functions.push(function);
    }
    for (_, record) in parts.store.log_groups().list(&LogGroupRecord::key(account, region, "")) {
        let name = record.name.clone();
        let group = groups.entry(name.clone()).or_insert_with(|| Group { name, record: None, functions: Vec::new() });
        group.record = Some(record);
    }
    Ok(groups)
}

/// The group of a name, if there may be one.
pub(super) async fn candidate(parts: &Parts, account: &str, name: &str) -> Result<Option<Group>, LogsError> {
    Ok(candidates(parts, account).await?.remove(name))
}

impl Group {
    /// The group as somebody sees it who only looks: of functions that share it, those that their key is for, if there are
    /// any. Another team's function in a group hides nothing of it from its own.
    pub(super) fn seen_by(mut self, principal: &Principal) -> Self {
        if self.functions.iter().any(|function| principal.sees(&function.name)) {
            self.functions.retain(|function| principal.sees(&function.name));
        }
        self
    }

    /// What is stored in it; `None` when it is not there: nobody has made it, and no function has written to it.
    pub(super) async fn contents(&self, parts: &Parts) -> Result<Option<Contents>, LogsError> {
        let mut streams: BTreeMap<String, StreamSummary> = BTreeMap::new();
        let mut stored_bytes = 0;
        for function in &self.functions {
            let LogSummary { streams: found, stored_bytes: bytes } = parts.recorder.summary(function).await?;
            stored_bytes += bytes;
            for stream in found {
                match streams.get_mut(&stream.name) {
                    Some(known) => {
                        known.first_ms = known.first_ms.min(stream.first_ms);
                        known.last_ms = known.last_ms.max(stream.last_ms);
                    }
                    None => {
                        streams.insert(stream.name.clone(), stream);
                    }
                }
            }
        }
        let is_there = self.record.is_some() || !streams.is_empty();
        Ok(is_there.then(|| Contents { streams: streams.into_values().collect(), stored_bytes }))
    }
}
