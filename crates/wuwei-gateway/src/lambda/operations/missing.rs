//! The operations that wuwei does not have, and why. Each is refused with an error that its model has.

use wuwei_model::service::Operation;

use crate::lambda::ApiError;

/// Operations that share a reason.
struct Group {
    reason: &'static str,
    operations: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        reason: "functions run on this machine, not on instances of a cloud",
        operations: &[
            "CreateCapacityProvider",
            "DeleteCapacityProvider",
            "GetCapacityProvider",
            "ListCapacityProviders",
            "ListFunctionVersionsByCapacityProvider",
            "UpdateCapacityProvider",
        ],
    },
    Group {
        reason: "there are no durable executions yet",
        operations: &[
            "CheckpointDurableExecution",
            "GetDurableExecution",
            "GetDurableExecutionHistory",
            "GetDurableExecutionState",
            "ListDurableExecutionsByFunction",
            "SendDurableExecutionCallbackFailure",
            "SendDurableExecutionCallbackHeartbeat",
            "SendDurableExecutionCallbackSuccess",
            "StopDurableExecution",
        ],
    },
    Group { reason: "there are no asynchronous invocations yet", operations: &["InvokeAsync"] },
];

/// Why an operation is refused.
pub(in crate::lambda) fn reason(operation: &str) -> &'static str {
    let group = GROUPS.iter().find(|group| group.operations.contains(&operation));
    group.map_or("it is not there yet", |group| group.reason)
}

/// What an operation is refused with: the first of these that its model has.
pub(in crate::lambda) fn refusal(operation: &Operation, version: &str) -> ApiError {
    let name = operation.name();
    let message = format!("{name} is not implemented yet in wuwei {version}: {}", reason(name));
    if operation.errors().any(|error| error == "InvalidParameterValueException") {
        ApiError::invalid_parameter(message)
    } else {
        ApiError::invalid_content(message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{GROUPS, refusal};
    use crate::lambda::operations::find;
    use wuwei_model::service::ServiceModel;

    #[test]
    fn every_operation_is_there_or_has_a_reason_but_not_both() {
        let listed: Vec<&str> = GROUPS.iter().flat_map(|group| group.operations).copied().collect();
        let missing: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(missing.len(), listed.len());
        let model = ServiceModel::lambda();
        let expected: BTreeSet<&str> =
            model.operations().map(|operation| operation.name()).filter(|name| find(name).is_none()).collect();
        assert_eq!(missing, expected);
    }

    #[test]
    fn every_missing_operation_models_the_error_that_it_is_refused_with() {
        for operation in GROUPS.iter().flat_map(|group| group.operations) {
            let operation = ServiceModel::lambda().operation(operation).unwrap();
            let refused = refusal(operation, "0.0.0");
            assert!(operation.errors().any(|error| error == refused.name()), "{}", operation.name());
        }
    }
}
