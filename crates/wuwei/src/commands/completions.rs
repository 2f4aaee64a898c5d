use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Session;
use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};

/// Prints the completion script of a shell.
pub(crate) fn run(session: &Session, shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "wuwei", &mut script);
    session.console.raw(&script)?;
    Ok(Exit::Done)
}
