//! Isolation and language runtimes: start, invoke, freeze and stop an instance.

mod instance;
mod process;

pub use instance::{
    InitFailure, Instance, InstanceFactory, InstanceSpec, Invocation, InvokeFailure, LaunchError, OutputSink,
    ProcessExit, Reply, Usage,
};
