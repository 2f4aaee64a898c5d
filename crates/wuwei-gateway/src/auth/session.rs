//! Temporary credentials: one instance, acting under the role of its function.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use wuwei_model::{ExecutionRole, FunctionKey, limits};
use wuwei_store::DerivedKey;

use super::authorization::Claim;
use super::{AuthError, Signer};

/// First letters of the id of a temporary key, as AWS has them.
const ID_PREFIX: &str = "ASIA";
/// First letters of the id of a role.
const ROLE_ID_PREFIX: &str = "AROA";
const ID_CHARACTERS: usize = 16;
const ROLE_ID_CHARACTERS: usize = 17;
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 40 characters of base64.
const SECRET_BYTES: usize = 30;
const TOKEN_BYTES: usize = 96;
/// How long credentials are good for: the longest session of a role on AWS. Instances end well before.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

const _: () = assert!(
    LIFETIME.as_secs() > limits::INSTANCE_AGE_S_MAX + limits::TIMEOUT_S_MAX as u64 + 3600,
    "no call may outlive the credentials of its instance"
);

/// The credentials of one instance and whom they stand for. Nothing stores or shows them.
pub(crate) struct RoleSession {
    function: FunctionKey,
    role: ExecutionRole,
    key_id: String,
    secret: String,
    token: String,
    derived: DerivedKey,
    began: SystemTime,
    /// The clock stands still while the machine sleeps, as the one does by which instances are retired.
    expires: Instant,
}

impl fmt::Debug for RoleSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, role, key_id, secret: _, token: _, derived: _, began: _, expires } = self;
        formatter
            .debug_struct("RoleSession")
            .field("function", function)
            .field("role", role)
            .field("key_id", key_id)
            .field("expires", expires)
            .finish_non_exhaustive()
    }
}

impl RoleSession {
    /// Makes credentials for an instance of a function with this role.
    pub(crate) fn begin(function: FunctionKey, role: ExecutionRole, now: Instant) -> Result<Self, getrandom::Error> {
        let mut token = [0; TOKEN_BYTES];
        getrandom::fill(&mut token)?;
        Ok(Self {
            function,
            role,
            key_id: new_key_id()?,
            secret: new_secret()?,
            token: STANDARD.encode(token),
            derived: DerivedKey::default(),
            began: SystemTime::now(),
            expires: now + LIFETIME,
        })
    }

    /// The session as the signer of a request: only with its own credentials, in headers, within their time.
    pub(crate) fn admit(self: &Arc<Self>, claim: &Claim, now: Instant) -> Result<Signer, AuthError> {
        if claim.expires_s.is_some() {
            return Err(AuthError::Refused("A function's calls are signed in headers, not in the URL.".to_owned()));
        }
        let token = claim.session_token.as_ref().map_or("", |token| token.0.as_str());
        let is_own = claim.key_id == self.key_id && bool::from(token.as_bytes().ct_eq(self.token.as_bytes()));
        if !is_own {
            return Err(AuthError::UnknownToken);
        }
        if now >= self.expires {
            return Err(AuthError::ExpiredToken);
        }
        Ok(Signer::Session(Arc::clone(self)))
    }

    /// The variables in which AWS hands a function its credentials.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ACCESS_KEY", &self.key_id),
            ("AWS_ACCESS_KEY_ID", &self.key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret),
            ("AWS_SESSION_TOKEN", &self.token),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.clone())).to_vec()
    }

    /// `arn:aws:sts::<account>:assumed-role/<role name>/<function name>`.
    pub(crate) fn arn(&self) -> String {
        // The path of a role is no part of its name.
        let role_name = self.role.arn.rsplit('/').next().unwrap_or_default();
        format!("arn:aws:sts::{}:assumed-role/{role_name}/{}", self.function.account, self.function.name)
    }

    /// `<id of the role>:<function name>`; a role that nobody has made has an id, too.
    pub(crate) fn user_id(&self, made: Option<&str>) -> String {
        let unmade = || {
            let hash = Sha256::digest(self.role.arn.as_bytes());
            identifier(ROLE_ID_PREFIX, hash.get(..ROLE_ID_CHARACTERS).unwrap_or_default())
        };
        format!("{}:{}", made.map_or_else(unmade, str::to_owned), self.function.name)
    }

    pub(super) fn role(&self) -> &ExecutionRole {
        &self.role
    }

    pub(crate) fn account(&self) -> &str {
        &self.function.account
    }

    pub(crate) fn function(&self) -> &FunctionKey {
        &self.function
    }

    pub(crate) fn function_name(&self) -> &str {
        &self.function.name
    }

    pub(super) fn began(&self) -> SystemTime {
        self.began
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn derived(&self) -> &DerivedKey {
        &self.derived
    }
}

/// Id of a temporary key.
pub(super) fn new_key_id() -> Result<String, getrandom::Error> {
    let mut id = [0; ID_CHARACTERS];
    getrandom::fill(&mut id)?;
    Ok(identifier(ID_PREFIX, &id))
}

/// 40 characters that nobody knows.
pub(super) fn new_secret() -> Result<String, getrandom::Error> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(STANDARD.encode(secret))
}

/// Id of something of IAM's: four letters that say of what, and 17 characters.
pub(crate) fn new_unique_id(prefix: &str) -> Result<String, getrandom::Error> {
    let mut id = [0; ROLE_ID_CHARACTERS];
    getrandom::fill(&mut id)?;
    Ok(identifier(prefix, &id))
}

/// One character of an id for each byte: 32 characters divide 256, so that each is equally likely.
fn identifier(prefix: &str, bytes: &[u8]) -> String {
    prefix.chars().chain(bytes.iter().map(|byte| char::from(ID_ALPHABET[usize::from(byte % 32)]))).collect()
}

#[cfg(test)]
mod tests;
