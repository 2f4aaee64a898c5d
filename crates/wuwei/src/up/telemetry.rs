use std::io;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sends the server's own log to standard error; `filter` is the value of `WUWEI_LOG`.
pub(crate) fn start(filter: Option<&str>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter.unwrap_or("info")).map_err(|error| {
        Failure::usage("cannot parse `WUWEI_LOG`")
            .because(error)
            .hint("for example WUWEI_LOG=debug or WUWEI_LOG=wuwei_engine=trace")
    })?;
    let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::local("cannot start the log").because(error))
}
