//! What each role may do.

use wuwei_model::service::Access;
use wuwei_store::Role;

use super::{Principal, glob};

/// Whether a caller may do an operation of a kind with a function (`None`: with no function in particular).
pub(crate) fn permits(principal: &Principal, access: Access, function: Option<&str>) -> bool {
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
    use crate::auth::Principal;
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
    fn the_pattern_bounds_functions_but_not_lists() {
        let principal = holder(Role::Deployer, "team-*");
        assert!(permits(&principal, Access::Write, Some("team-a")));
        assert!(!permits(&principal, Access::Read, Some("other")));
        assert!(permits(&principal, Access::Read, None));
    }
}
