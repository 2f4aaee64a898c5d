//! What each role may do.

use wuwei_model::service::Access;
use wuwei_store::Role;

use super::{Principal, glob};

/// Whether a caller may do an operation of a kind with a function (`None`: with no function in particular).
pub(crate) fn permits(principal: &Principal, access: Access, function: Option<&str>) -> bool {
    if principal.session.is_some() {
        // What every execution role allows, until roles have policies.
        return matches!(access, Access::Invoke);
    }
    let role_allows = match principal.role {
        Role::Admin | Role::Deployer => true,
        Role::Invoker => matches!(access, Access::Read | Access::Invoke),
        Role::Viewer => matches!(access, Access::Read),
    };
    role_allows && function.is_none_or(|name| glob::matches(&principal.functions, name))
}

#[cfg(test)]
mod tests {
    use super::permits;
    use std::sync::Arc;
    use std::time::Instant;

    use crate::auth::{Principal, RoleSession};
    use wuwei_model::FunctionKey;
    use wuwei_model::service::Access;
    use wuwei_store::Role;

    fn holder(role: Role, functions: &str) -> Principal {
        let mut principal = Principal::unchecked(None, "000000000000");
        principal.role = role;
        functions.clone_into(&mut principal.functions);
        principal
    }

    #[test]
    fn each_role_includes_the_one_below_it() {
        let check = |role, expected: [bool; 3]| {
            let kinds = [Access::Read, Access::Invoke, Access::Write];
            assert_eq!(kinds.map(|kind| permits(&holder(role, "*"), kind, Some("any"))), expected, "{role:?}");
        };
        check(Role::Viewer, [true, false, false]);
        check(Role::Invoker, [true, true, false]);
        check(Role::Deployer, [true, true, true]);
        check(Role::Admin, [true, true, true]);
    }

    #[test]
    fn a_function_may_invoke_and_nothing_else_whatever_its_fields_say() {
        let key = FunctionKey { account: "0".to_owned(), region: "r".to_owned(), name: "f".to_owned() };
        let session = RoleSession::begin(key, "arn:aws:iam::0:role/r".to_owned(), Instant::now()).unwrap();
        let mut principal = Principal::of_session(&Arc::new(session));
        principal.role = Role::Admin;
        let kinds = [Access::Read, Access::Invoke, Access::Write];
        assert_eq!(kinds.map(|kind| permits(&principal, kind, Some("any"))), [false, true, false]);
        assert!(!permits(&principal, Access::Read, None));
    }

    #[test]
    fn the_pattern_bounds_functions_but_not_lists() {
        let principal = holder(Role::Deployer, "team-*");
        assert!(permits(&principal, Access::Write, Some("team-a")));
        assert!(!permits(&principal, Access::Read, Some("other")));
        assert!(permits(&principal, Access::Read, None));
    }
}
