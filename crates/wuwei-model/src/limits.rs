//! Every limit, written once.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, read 2026-11.

/// Smallest configurable memory, in MB.
pub const MEMORY_MB_MIN: u32 = 128;
/// Largest configurable memory, in MB.
pub const MEMORY_MB_MAX: u32 = 10_240;
/// Memory when a request names none, in MB.
pub const MEMORY_MB_DEFAULT: u32 = 128;
/// Memory that is worth one vCPU, in MB.
pub const MEMORY_MB_PER_VCPU: u32 = 1_769;
/// Shortest timeout, in seconds.
pub const TIMEOUT_S_MIN: u32 = 1;
/// Longest timeout, in seconds.
pub const TIMEOUT_S_MAX: u32 = 900;
/// Timeout when a request names none, in seconds.
pub const TIMEOUT_S_DEFAULT: u32 = 3;
/// Smallest `/tmp`, in MB.
pub const EPHEMERAL_MB_MIN: u32 = 512;
/// Largest `/tmp`, in MB.
pub const EPHEMERAL_MB_MAX: u32 = 10_240;
/// All environment variables of a function together, names and values, in bytes.
pub const ENVIRONMENT_BYTES_MAX: usize = 4 * 1024;
/// A package sent in the request, in bytes of the zip file.
pub const ZIP_DIRECT_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// Layers of a function.
pub const LAYERS_MAX: usize = 5;
/// A package when unpacked, and a package with all its layers, in bytes.
pub const UNPACKED_BYTES_MAX: u64 = 250 * 1024 * 1024;
/// Payload of a synchronous invocation, in bytes (AWS: 6 MB, precisely 6,291,456).
pub const SYNC_PAYLOAD_BYTES_MAX: usize = 6_291_456;
/// Payload of an asynchronous invocation, in bytes (AWS: 1 MB).
pub const ASYNC_PAYLOAD_BYTES_MAX: usize = 1_048_576;
/// Answer of a synchronous invocation, in bytes (AWS adds 100 bytes of envelope to 6 MB).
pub const SYNC_RESPONSE_BYTES_MAX: usize = 6_291_556;
/// Answer that is streamed, in bytes (AWS: 200 MB by default).
pub const STREAMED_RESPONSE_BYTES_MAX: usize = 200 * 1024 * 1024;
/// Time that an instance has for its initialisation, in seconds.
pub const INIT_S_MAX: u64 = 10;
/// Age at which an instance gets no further event, in seconds: AWS ends execution environments "every few hours". The
/// temporary credentials in its environment are good for longer.
pub const INSTANCE_AGE_S_MAX: u64 = 6 * 3600;
/// File descriptors of an instance.
pub const FILE_DESCRIPTORS_MAX: u64 = 1_024;
/// Processes and threads of an instance.
pub const PROCESSES_MAX: u64 = 1_024;
/// Concurrent executions of an account.
pub const ACCOUNT_CONCURRENCY: u32 = 1_000;
/// Part of an account's concurrency that cannot be reserved for single functions.
pub const UNRESERVED_CONCURRENCY_MIN: u32 = 100;
/// Packages of an account together, in bytes: AWS's 75 GB, as it is shown.
pub const ACCOUNT_CODE_BYTES: u64 = 75 * 1024 * 1024 * 1024;
/// Tags of a resource.
pub const TAGS_MAX: usize = 50;
/// Length of a tag's key, in characters.
pub const TAG_KEY_MAX: usize = 128;
/// Length of a tag's value, in characters.
pub const TAG_VALUE_MAX: usize = 256;
/// End of an invocation's log that `LogType=Tail` returns, in bytes.
pub const LOG_TAIL_BYTES: usize = 4 * 1024;
