//! Which function, and which version of it, a call names.

use wuwei_model::{FunctionKey, FunctionReference, ParseFunctionReferenceError};

use super::authorisation::is_shared;
use super::error::ApiError;
use crate::auth::Principal;

/// A function of this server, and the qualifier that the caller gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: FunctionKey,
    pub(crate) qualifier: Option<String>,
}

impl Target {
    /// ARN as the caller meant it: with the qualifier, when there was one.
    pub(crate) fn arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => self.key.qualified_arn(qualifier),
            None => self.key.arn(),
        }
    }

    /// Resolves the `FunctionName` (which has passed the model's pattern) and `Qualifier` of a call.
    ///
    /// Another account's function is refused as AWS refuses it, unless the action is one that its policy may allow;
    /// another region's is not found, whatever the account (AWS does not look across regions either).
    pub(crate) fn resolve(
        function_name: &str,
        qualifier: Option<&str>,
        principal: &Principal,
        region: &str,
        action: &str,
    ) -> Result<Self, ApiError> {
        let written: FunctionReference = function_name
            .parse()
            .map_err(|error: ParseFunctionReferenceError| ApiError::validation(error.to_string()))?;
        if let Some(other) = written.region.filter(|other| other != region) {
            return Err(ApiError::not_found(format!(
                "Functions from '{other}' are not reachable in this region ('{region}')"
            )));
        }
        let account = written.account.unwrap_or_else(|| principal.account.clone());
        let key = FunctionKey { account, region: region.to_owned(), name: written.name };
        if key.account != principal.account && !is_shared(action) {
            return Err(ApiError::access_denied(&principal.arn(), action, &key.arn()));
        }
        let qualifier = match (written.qualifier, qualifier) {
            (Some(in_name), Some(parameter)) if in_name != parameter => {
                return Err(ApiError::invalid_parameter(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (in_name, parameter) => in_name.or_else(|| parameter.map(str::to_owned)),
        };
        Ok(Self { key, qualifier })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::auth::Principal;

    fn resolve(name: &str, qualifier: Option<&str>) -> Result<String, String> {
        let principal = Principal::unchecked(None, "000000000000");
        let target = Target::resolve(name, qualifier, &principal, "us-east-1", "lambda:AddPermission");
        target.map(|target| target.arn()).map_err(|error| format!("{}: {}", error.name(), error.message()))
    }

    #[test]
    fn names_are_completed_and_contradictions_refused() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        assert_eq!(resolve("f", None).unwrap(), arn);
        assert_eq!(resolve("f", Some("7")).unwrap(), format!("{arn}:7"));
        assert_eq!(resolve("f:7", Some("7")).unwrap(), format!("{arn}:7"));
        assert_eq!(
            resolve("f:7", Some("8")).unwrap_err(),
            "InvalidParameterValueException: The derived qualifier from the function name does not match the \
             specified qualifier."
        );
        assert!(resolve("111111111111:function:f", None).unwrap_err().starts_with("AccessDeniedException: "));
        assert_eq!(
            resolve("arn:aws:lambda:eu-west-1:000000000000:function:f", None).unwrap_err(),
            "ResourceNotFoundException: Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
        );
    }
}
