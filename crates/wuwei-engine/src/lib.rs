//! Dispatch: finds or starts an instance for each invocation and settles its outcome.
