//! What the tests of several modules share.

use wuwei_model::{
    Architecture, Attachments, CodeDigest, FunctionCode, FunctionKey, FunctionSettings, FunctionVersion,
    LastUpdateStatus, LoggingConfig, Runtime, State, Version,
};

/// A function with this name.
pub(crate) fn function(name: &str) -> FunctionVersion {
    FunctionVersion {
        key: FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() },
        version: Version::Latest,
        settings: FunctionSettings {
            runtime: Runtime::new("python3.11"),
            role: wuwei_model::ExecutionRole::default(),
            handler: "app.handler".to_owned(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_mb: 512,
            environment: None,
            architecture: Architecture::X86_64,
            logging: LoggingConfig::default(),
            layers: Vec::new(),
            attachments: Attachments::default(),
            isolates_tenants: false,
        },
        code: FunctionCode { digest: CodeDigest::of(b"code"), size_bytes: 4 },
        last_modified_ms: 0,
        revision_id: "revision-1".to_owned(),
        state: State::Active,
        state_reason: None,
        last_update_status: LastUpdateStatus::Successful,
        last_update_reason: None,
    }
}
