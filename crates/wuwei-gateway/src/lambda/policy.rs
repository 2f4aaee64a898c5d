//! Resource policies as AWS writes them: members of AddPermission in, JSON documents out.

use serde::Serialize;
use serde_json::{Map, Value};
use wuwei_model::{Policy, PolicyPrincipal, PolicyStatement, UrlAuthType};

use super::error::ApiError;

/// Longest policy, in bytes of its document.
pub(super) const POLICY_BYTES_MAX: usize = 20_480;
const INVALID_PRINCIPAL: &str = "The provided principal was invalid. Please check the principal and try again.";

/// A policy; members in AWS's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument<'policy> {
    version: &'static str,
    id: &'static str,
    statement: Vec<StatementDocument<'policy>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatementDocument<'policy> {
    sid: &'policy str,
    effect: &'static str,
    principal: PrincipalDocument<'policy>,
    action: &'policy str,
    resource: &'policy str,
    #[serde(skip_serializing_if = "ConditionDocument::is_empty")]
    condition: ConditionDocument<'policy>,
}

#[derive(Serialize)]
enum PrincipalDocument<'policy> {
    #[serde(rename = "AWS")]
    Aws(String),
    Service(&'policy str),
    #[serde(untagged)]
    Everyone(&'static str),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConditionDocument<'policy> {
    #[serde(skip_serializing_if = "StringConditions::is_empty")]
    string_equals: StringConditions<'policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bool: Option<BoolConditions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn_like: Option<ArnConditions<'policy>>,
}

#[derive(Serialize)]
struct StringConditions<'policy> {
    #[serde(rename = "AWS:SourceAccount", skip_serializing_if = "Option::is_none")]
    source_account: Option<&'policy str>,
    #[serde(rename = "aws:PrincipalOrgID", skip_serializing_if = "Option::is_none")]
    organization_id: Option<&'policy str>,
    #[serde(rename = "lambda:EventSourceToken", skip_serializing_if = "Option::is_none")]
    event_source_token: Option<&'policy str>,
    #[serde(rename = "lambda:FunctionUrlAuthType", skip_serializing_if = "Option::is_none")]
    url_auth_type: Option<&'static str>,
}

#[derive(Serialize)]
struct BoolConditions {
    #[serde(rename = "lambda:InvokedViaFunctionUrl")]
    via_url: &'static str,
}

#[derive(Serialize)]
struct ArnConditions<'policy> {
    #[serde(rename = "AWS:SourceArn")]
    source_arn: &'policy str,
}

impl ConditionDocument<'_> {
    fn is_empty(&self) -> bool {
        self.string_equals.is_empty() && self.bool.is_none() && self.arn_like.is_none()
    }
}

impl StringConditions<'_> {
    fn is_empty(&self) -> bool {
        self.source_account.is_none()
            && self.organization_id.is_none()
            && self.event_source_token.is_none()
            && self.url_auth_type.is_none()
    }
}

impl<'policy> StatementDocument<'policy> {
    fn of(statement: &'policy PolicyStatement, resource: &'policy str) -> Self {
        Self {
            sid: &statement.id,
            effect: "Allow",
            principal: match &statement.principal {
                PolicyPrincipal::Everyone => PrincipalDocument::Everyone("*"),
                PolicyPrincipal::Account(account) => PrincipalDocument::Aws(format!("arn:aws:iam::{account}:root")),
                PolicyPrincipal::Arn(arn) => PrincipalDocument::Aws(arn.clone()),
                PolicyPrincipal::Service(service) => PrincipalDocument::Service(service),
            },
            action: &statement.action,
            resource,
            condition: ConditionDocument {
                string_equals: StringConditions {
                    source_account: statement.source_account.as_deref(),
                    organization_id: statement.organization_id.as_deref(),
                    event_source_token: statement.event_source_token.as_deref(),
                    url_auth_type: statement.url_auth_type.map(UrlAuthType::as_str),
                },
                bool: statement
                    .via_url
                    .map(|via_url| BoolConditions { via_url: if via_url { "true" } else { "false" } }),
                arn_like: statement.source_arn.as_deref().map(|source_arn| ArnConditions { source_arn }),
            },
        }
    }
}

/// The document of a policy for a resource: its ARN.
pub(super) fn document(policy: &Policy, resource: &str) -> String {
    let statement = policy.statements.iter().map(|statement| StatementDocument::of(statement, resource)).collect();
    text(&PolicyDocument { version: "2012-10-17", id: "default", statement })
}

/// The document of one statement.
pub(super) fn statement_document(statement: &PolicyStatement, resource: &str) -> String {
    text(&StatementDocument::of(statement, resource))
}

fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("documents have string keys and string values only")
}

/// Reads the statement that AddPermission asks for; the members have passed validation.
pub(super) fn read_statement(members: &Map<String, Value>) -> Result<PolicyStatement, ApiError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let action = text("Action").unwrap_or_default();
    let url_auth_type = text("FunctionUrlAuthType").and_then(|text| text.parse().ok());
    let via_url = members.get("InvokedViaFunctionUrl").and_then(Value::as_bool);
    if url_auth_type.is_some() && action != "lambda:InvokeFunctionUrl" {
        return Err(ApiError::invalid_parameter(
            "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
        ));
    }
    if via_url.is_some() && action != "lambda:InvokeFunction" {
        return Err(ApiError::invalid_parameter(
            "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action",
        ));
    }
    Ok(PolicyStatement {
        id: text("StatementId").unwrap_or_default(),
        principal: read_principal(&text("Principal").unwrap_or_default())?,
        action,
        source_arn: text("SourceArn"),
        source_account: text("SourceAccount"),
        organization_id: text("PrincipalOrgID"),
        event_source_token: text("EventSourceToken"),
        url_auth_type,
        via_url,
    })
}

fn read_principal(text: &str) -> Result<PolicyPrincipal, ApiError> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_service = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"].iter().any(|domain| {
        text.strip_suffix(domain).is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        })
    });
    if text == "*" {
        Ok(PolicyPrincipal::Everyone)
    } else if is_account {
        Ok(PolicyPrincipal::Account(text.to_owned()))
    } else if text.starts_with("arn:") && text.split(':').count() >= 6 {
        Ok(PolicyPrincipal::Arn(text.to_owned()))
    } else if is_service {
        Ok(PolicyPrincipal::Service(text.to_owned()))
    } else {
        Err(ApiError::invalid_parameter(INVALID_PRINCIPAL))
    }
}

#[cfg(test)]
mod tests {
    use super::{document, read_statement, statement_document};
    use serde_json::{Value, json};
    use wuwei_model::{Policy, PolicyStatement};

    const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

    fn read(members: &Value) -> Result<PolicyStatement, String> {
        let mut all = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read_statement(all.as_object().unwrap()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn statements_are_written_as_aws_writes_them() {
        let check = |members: Value, expected: &str| {
            let statement = read(&members).unwrap();
            let expected = format!(r#"{{"Sid":"s","Effect":"Allow",{expected}}}"#).replace("ARN", ARN);
            assert_eq!(statement_document(&statement, ARN), expected);
        };
        check(
            json!({ "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "123456789012" }),
            r#""Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"ARN","Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}"#,
        );
        check(
            json!({ "Principal": "123456789012" }),
            r#""Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"lambda:InvokeFunction","Resource":"ARN""#,
        );
        check(
            json!({ "Principal": "arn:aws:iam::123456789012:user/u" }),
            r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/u"},"Action":"lambda:InvokeFunction","Resource":"ARN""#,
        );
        check(
            json!({ "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE" }),
            r#""Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"ARN","Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}"#,
        );
        check(
            json!({ "InvokedViaFunctionUrl": true }),
            r#""Principal":"*","Action":"lambda:InvokeFunction","Resource":"ARN","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}"#,
        );
        check(
            json!({ "Principal": "alexa-appkit.amazon.com", "EventSourceToken": "t" }),
            r#""Principal":{"Service":"alexa-appkit.amazon.com"},"Action":"lambda:InvokeFunction","Resource":"ARN","Condition":{"StringEquals":{"lambda:EventSourceToken":"t"}}"#,
        );
        check(
            json!({ "PrincipalOrgID": "o-1234567890" }),
            r#""Principal":"*","Action":"lambda:InvokeFunction","Resource":"ARN","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}"#,
        );
    }

    #[test]
    fn a_policy_is_its_statements_in_an_envelope() {
        let policy = Policy { statements: vec![read(&json!({})).unwrap()], revision_id: None };
        assert_eq!(
            document(&policy, ARN),
            format!(
                r#"{{"Version":"2012-10-17","Id":"default","Statement":[{{"Sid":"s","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"{ARN}"}}]}}"#
            )
        );
    }

    #[test]
    fn conditions_of_urls_belong_to_their_actions() {
        let url = read(&json!({ "FunctionUrlAuthType": "NONE" })).unwrap_err();
        assert_eq!(url, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
        let via = read(&json!({ "Action": "lambda:InvokeFunctionUrl", "InvokedViaFunctionUrl": true })).unwrap_err();
        assert_eq!(via, "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action");
    }

    #[test]
    fn a_principal_is_everyone_an_account_an_arn_or_a_service() {
        for wrong in ["", "nobody", "12345678901", "arn:aws", ".amazonaws.com", "a b.amazonaws.com"] {
            let refused = read(&json!({ "Principal": wrong })).unwrap_err();
            assert!(refused.starts_with("The provided principal was invalid."), "{wrong}");
        }
    }
}
