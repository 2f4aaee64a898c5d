//! How URLs and resource policies are written down.

use serde::{Deserialize, Serialize};
use wuwei_model::{
    FunctionKey, FunctionUrl, Policy, PolicyPrincipal, PolicyStatement, UrlAuthType, UrlCors, UrlInvokeMode,
};

use super::DamagedRecordError;
use super::record::{RecordError, damaged};

/// Which function has a URL: what the index by id holds.
#[derive(Serialize, Deserialize)]
pub(super) struct UrlRecord {
    account: String,
    region: String,
    name: String,
    qualifier: String,
}

/// A URL, in the aggregate of its function.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredUrl {
    id: String,
    auth_type: StoredAuthType,
    invoke_mode: StoredInvokeMode,
    cors: Option<StoredCors>,
    created_ms: i64,
    modified_ms: i64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum StoredAuthType {
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "AWS_IAM")]
    AwsIam,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum StoredInvokeMode {
    #[serde(rename = "BUFFERED")]
    Buffered,
    #[serde(rename = "RESPONSE_STREAM")]
    ResponseStream,
}

#[derive(Serialize, Deserialize)]
struct StoredCors {
    allow_credentials: Option<bool>,
    allow_headers: Vec<String>,
    allow_methods: Vec<String>,
    allow_origins: Vec<String>,
    expose_headers: Vec<String>,
    max_age_s: Option<u32>,
}

/// A resource policy, in the aggregate of its function.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredPolicy {
    statements: Vec<StoredStatement>,
    revision_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredStatement {
    id: String,
    principal: StoredPrincipal,
    action: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    organization_id: Option<String>,
    event_source_token: Option<String>,
    url_auth_type: Option<StoredAuthType>,
    via_url: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredPrincipal {
    Everyone,
    Account(String),
    Arn(String),
    Service(String),
}

impl UrlRecord {
    pub(super) fn new(key: &FunctionKey, qualifier: &str) -> Self {
        let FunctionKey { account, region, name } = key.clone();
        Self { account, region, name, qualifier: qualifier.to_owned() }
    }

    pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<Self, DamagedRecordError> {
        serde_json::from_slice(bytes).map_err(|source| damaged(key, RecordError::Text(source)))
    }

    /// The function, and the qualifier that the URL is for.
    pub(super) fn into_parts(self) -> (FunctionKey, String) {
        (FunctionKey { account: self.account, region: self.region, name: self.name }, self.qualifier)
    }
}

impl StoredUrl {
    pub(super) fn new(url: &FunctionUrl) -> Self {
        let FunctionUrl { id, auth_type, invoke_mode, cors, created_ms, modified_ms } = url;
        Self {
            id: id.clone(),
            auth_type: StoredAuthType::new(*auth_type),
            invoke_mode: match invoke_mode {
                UrlInvokeMode::Buffered => StoredInvokeMode::Buffered,
                UrlInvokeMode::ResponseStream => StoredInvokeMode::ResponseStream,
            },
            cors: cors.clone().map(StoredCors::new),
            created_ms: *created_ms,
            modified_ms: *modified_ms,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn into_url(self) -> FunctionUrl {
        FunctionUrl {
            id: self.id,
            auth_type: self.auth_type.into_auth_type(),
            invoke_mode: match self.invoke_mode {
                StoredInvokeMode::Buffered => UrlInvokeMode::Buffered,
                StoredInvokeMode::ResponseStream => UrlInvokeMode::ResponseStream,
            },
            cors: self.cors.map(StoredCors::into_cors),
            created_ms: self.created_ms,
            modified_ms: self.modified_ms,
        }
    }
}

impl StoredAuthType {
    fn new(auth_type: UrlAuthType) -> Self {
        match auth_type {
            UrlAuthType::None => Self::None,
            UrlAuthType::AwsIam => Self::AwsIam,
        }
    }

    fn into_auth_type(self) -> UrlAuthType {
        match self {
            Self::None => UrlAuthType::None,
            Self::AwsIam => UrlAuthType::AwsIam,
        }
    }
}

impl StoredCors {
    fn new(cors: UrlCors) -> Self {
        let UrlCors { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age_s } =
            cors;
        Self { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age_s }
    }

    fn into_cors(self) -> UrlCors {
        let Self { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age_s } = self;
        UrlCors { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age_s }
    }
}

impl StoredPolicy {
    pub(crate) fn new(policy: &Policy) -> Self {
        let Policy { statements, revision_id } = policy.clone();
        Self { statements: statements.into_iter().map(StoredStatement::new).collect(), revision_id }
    }

    pub(super) fn revision_id(&self) -> Option<&str> {
        self.revision_id.as_deref()
    }

    pub(crate) fn into_policy(self) -> Policy {
        let statements = self.statements.into_iter().map(StoredStatement::into_statement).collect();
        Policy { statements, revision_id: self.revision_id }
    }
}

impl StoredStatement {
    fn new(statement: PolicyStatement) -> Self {
        Self {
            id: statement.id,
            principal: match statement.principal {
                PolicyPrincipal::Everyone => StoredPrincipal::Everyone,
                PolicyPrincipal::Account(account) => StoredPrincipal::Account(account),
                PolicyPrincipal::Arn(arn) => StoredPrincipal::Arn(arn),
                PolicyPrincipal::Service(service) => StoredPrincipal::Service(service),
            },
            action: statement.action,
            source_arn: statement.source_arn,
            source_account: statement.source_account,
            organization_id: statement.organization_id,
            event_source_token: statement.event_source_token,
            url_auth_type: statement.url_auth_type.map(StoredAuthType::new),
            via_url: statement.via_url,
        }
    }

    fn into_statement(self) -> PolicyStatement {
        PolicyStatement {
            id: self.id,
            principal: match self.principal {
                StoredPrincipal::Everyone => PolicyPrincipal::Everyone,
                StoredPrincipal::Account(account) => PolicyPrincipal::Account(account),
                StoredPrincipal::Arn(arn) => PolicyPrincipal::Arn(arn),
                StoredPrincipal::Service(service) => PolicyPrincipal::Service(service),
            },
            action: self.action,
            source_arn: self.source_arn,
            source_account: self.source_account,
            organization_id: self.organization_id,
            event_source_token: self.event_source_token,
            url_auth_type: self.url_auth_type.map(StoredAuthType::into_auth_type),
            via_url: self.via_url,
        }
    }
}
