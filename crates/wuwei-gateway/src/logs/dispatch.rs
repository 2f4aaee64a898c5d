//! The way of every call: operation, authentication, binding, validation, and the operation itself.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value};
use wuwei_model::service::{Access, RequestParts, ServiceModel};

use super::error::LogsError;
use super::groups::{Group, arn_of};
use super::{events, group_operations, streams, tags};
use crate::auth::{Act, Principal};
use crate::face::Exchange;
use crate::gateway::Parts;
use crate::wire::Answer;

/// Names the operation in its header.
const TARGET_PREFIX: &str = "Logs_20140328.";
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A call that is authenticated and valid.
pub(super) struct Call {
    pub(super) parts: Arc<Parts>,
    pub(super) principal: Principal,
    pub(super) members: Map<String, Value>,
    operation: &'static str,
    access: Access,
}

impl Call {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.members.get(name).and_then(Value::as_i64)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.members.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn region(&self) -> &str {
        &self.parts.options.region
    }

    /// Name of the group that a call names, by `logGroupName` or by `logGroupIdentifier` (a name or an ARN).
    pub(super) fn group_name(&self) -> Result<&str, LogsError> {
        match (self.text("logGroupName"), self.text("logGroupIdentifier")) {
            (Some(name), None) => Ok(name),
            (None, Some(identifier)) => self.name_in(identifier).ok_or_else(LogsError::no_group),
            (Some(_), Some(_)) => {
                Err(LogsError::invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters."))
            }
            (None, None) => Err(LogsError::invalid("Either LogGroup name or LogGroup ARN is a required parameter.")),
        }
    }

    /// The name in an ARN of this account and region, or the name itself.
    pub(super) fn name_in<'text>(&self, identifier: &'text str) -> Option<&'text str> {
        if !identifier.starts_with("arn:") {
            return Some(identifier);
        }
        let prefix = arn_of(&self.principal.account, self.region(), "");
        let name = identifier.strip_prefix(&prefix)?;
        Some(name.strip_suffix(":*").unwrap_or(name))
    }

    /// What the caller is shown of a group; all of it to those who change it.
    pub(super) fn as_seen(&self, group: Group) -> Group {
        match self.access {
            Access::Read => group.seen_by(&self.principal),
            Access::Invoke | Access::Write => group,
        }
    }

    /// Lets a call on that touches this group, or this stream of it.
    pub(super) fn check(&self, group: &Group, stream: &str) -> Result<(), LogsError> {
        let resource = format!("{}:log-stream:{stream}", arn_of(&self.principal.account, self.region(), &group.name));
        let act = Act { action: &self.action(), resource: &resource, access: self.access };
        // A key that is for some functions only touches the groups of these.
        let names: Vec<&str> = match group.functions.as_slice() {
            [] => vec![group.name.strip_prefix("/aws/lambda/").unwrap_or("")],
            functions => functions.iter().map(|function| function.name.as_str()).collect(),
        };
        for name in names {
            self.principal.may(&act, Some(name))?;
        }
        Ok(())
    }

    /// Lets a call on that is about no group in particular.
    pub(super) fn check_any(&self) -> Result<(), LogsError> {
        let resource = format!("{}:log-stream:", arn_of(&self.principal.account, self.region(), ""));
        let act = Act { action: &self.action(), resource: &resource, access: self.access };
        Ok(self.principal.may(&act, None)?)
    }

    fn action(&self) -> String {
        format!("logs:{}", self.operation)
    }
}

/// Answers a request of the Logs API.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    match call(exchange).await {
        Ok(members) => {
            let body = members.map(|members| Value::Object(members).to_string()).unwrap_or_default();
            Answer::new(StatusCode::OK, "application/x-amz-json-1.1", body)
        }
        Err(error) => error.answer(),
    }
}

/// Members of the output; `None` where the operation has none.
async fn call(exchange: &mut Exchange) -> Result<Option<Map<String, Value>>, LogsError> {
    let model = ServiceModel::logs();
    let target = exchange.head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = target.strip_prefix(TARGET_PREFIX).unwrap_or_default().to_owned();
    if exchange.head.method != Method::POST {
        return Err(LogsError::unknown_operation());
    }
    let Some(operation) = model.operation(&name) else {
        return Err(if model.leaves_out(&name) {
            LogsError::not_implemented(&name)
        } else {
            LogsError::unknown_operation()
        });
    };
    exchange.note.action("logs", operation.name(), operation.access());
    let region = exchange.parts.options.region.clone();
    let (principal, body) = exchange.admit(&["logs"], &[&region], BODY_BYTES_MAX).await?;
    let input = model.bind(operation, &RequestParts { labels: &[], query: &[], headers: &[], body })?;
    model.validate(operation, &input)?;
    let parts = Arc::clone(&exchange.parts);
    let (members, access) = (input.members, operation.access());
    let call = Call { parts, principal, members, operation: operation.name(), access };
    if let Ok(group) = call.group_name() {
        exchange.note.resource(&arn_of(&call.principal.account, &region, group));
    }
    let nothing = |done: Result<(), LogsError>| done.map(|()| None);
    match operation.name() {
        "CreateLogGroup" => nothing(group_operations::create(&call).await),
        "DeleteLogGroup" => nothing(group_operations::delete(&call).await),
        "DeleteLogStream" => nothing(streams::delete(&call).await),
        "DeleteRetentionPolicy" => nothing(group_operations::set_retention(&call, None).await),
        "DescribeLogGroups" => group_operations::describe(&call).await.map(Some),
        "DescribeLogStreams" => streams::describe(&call).await.map(Some),
        "FilterLogEvents" => events::filter(&call).await.map(Some),
        "GetLogEvents" => events::get(&call).await.map(Some),
        "ListTagsForResource" => tags::list(&call).await.map(Some),
        "PutRetentionPolicy" => nothing(group_operations::put_retention(&call).await),
        "TagResource" => nothing(tags::add(&call).await),
        "UntagResource" => nothing(tags::remove(&call).await),
        other => Err(LogsError::not_implemented(other)),
    }
}
