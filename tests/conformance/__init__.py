"""The conformance suite: one list of behaviours for managed runtimes, a native program and AWS's own clients."""
