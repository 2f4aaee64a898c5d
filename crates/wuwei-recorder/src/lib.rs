//! What happened: the log of each function, START/END/REPORT lines, and the usage of each invocation.
