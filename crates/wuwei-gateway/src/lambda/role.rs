//! The role that a function is given: who may give it, and whether it must have been made.

use wuwei_model::service::Access;
use wuwei_model::{ExecutionRole, glob_matches};

use super::call::Call;
use super::error::ApiError;
use crate::auth::{Act, LAMBDA, Refusal, role_of_arn, trusts_lambda};

/// The `Role` of a call, if it names one and may; `present` is the one that the function has.
///
/// A caller with policies needs `iam:PassRole`: a function can do what its role can. A key that is for some functions
/// gives them roles that are named like these, or leaves them theirs. A role that has been made must trust Lambda; in
/// strict mode it must have been made, in the function's account.
pub(super) fn given(call: &Call, present: Option<&ExecutionRole>) -> Result<Option<ExecutionRole>, ApiError> {
    let Some(arn) = call.text("Role") else { return Ok(None) };
    let (principal, function) = (&call.principal, call.key());
    let role = role_of_arn(&call.parts.store, &function.account, arn);
    let given = ExecutionRole { arn: arn.to_owned(), id: role.as_ref().map(|role| role.id.clone()) };
    let act = Act { action: "iam:PassRole", resource: arn, access: Access::Write };
    let passed = if principal.is_key() {
        let is_for = role.as_ref().is_none_or(|role| glob_matches(&principal.functions, &role.name));
        if is_for || present == Some(&given) { Ok(()) } else { Err(Refusal::not_allowed(principal, &act)) }
    } else {
        principal.may_with(&act, None, |context| {
            context.set("iam:PassedToService", LAMBDA);
            context.set("iam:AssociatedResourceArn", function.arn());
        })
    };
    passed.map_err(|refusal| ApiError::refused(&refusal))?;
    let is_strict = call.parts.options.strict_roles;
    if is_strict && arn.split(':').nth(4) != Some(function.account.as_str()) {
        return Err(ApiError::refused_because("Cross-account pass role is not allowed."));
    }
    if role.map_or(!is_strict, |role| trusts_lambda(&role, function)) {
        Ok(Some(given))
    } else {
        Err(ApiError::invalid_parameter("The role defined for the function cannot be assumed by Lambda."))
    }
}
