//! The wuwei command line and server.

mod arguments;
mod client;
mod commands;
mod compose;
mod config;
mod failure;
mod output;
mod package;
mod signing;
mod up;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use commands::Session;
use config::Environment;
use failure::{Exit, Failure};
use output::Console;

/// Nothing of this program can leave out a defence of a sandbox: only the suite of attempts is built with that.
const _: () = assert!(!wuwei_sandbox::HAS_DEFENCE_SWITCHES);
/// Nor open its parsers to fuzz targets.
const _: () = assert!(!wuwei_sandbox::HAS_FUZZING_DOORS);

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::refuse(&error),
    };
    arguments.color.apply();
    let console = Console::new(arguments.json);
    match run(arguments, console) {
        Ok(exit) => exit.into(),
        Err(failure) => console.fail(&failure),
    }
}

fn run(arguments: Arguments, console: Console) -> Result<Exit, Failure> {
    // Helpers stay single-threaded, so they are entered before any runtime exists.
    match &arguments.command {
        Command::Steward => return compose::run_steward(),
        Command::Launcher(options) => return compose::run_launcher(options),
        Command::Filler(options) => return compose::run_filler(options),
        Command::Keeper(_) => return compose::run_keeper(),
        _ => {}
    }
    let environment = Environment::read();
    let session = Session { console, environment, data_dir: arguments.data_dir };
    match arguments.command {
        Command::Up(options) => up::run(&session, &options),
        command => asynchronous_runtime()?.block_on(dispatch(command, &session)),
    }
}

fn asynchronous_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(|error| Failure::local("cannot start the asynchronous runtime").because(error))
}

/// Half of the processors, for the other half of each call is the function's: see
/// `docs/decisions/0008-one-worker-for-two-processors.md`.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

async fn dispatch(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Up(options) => up::run(session, &options),
        Command::Deploy(options) => Box::pin(commands::deploy::run(session, options)).await,
        Command::Invoke(options) => commands::invoke::run(session, options).await,
        Command::Logs(options) => commands::logs::run(session, options).await,
        Command::Cost(options) => commands::cost::run(session, options).await,
        Command::Ls => commands::ls::run(session).await,
        Command::Url(options) => commands::url::run(session, options).await,
        Command::Rm(options) => commands::rm::run(session, options).await,
        Command::Runtimes => commands::runtimes::run(session).await,
        Command::Env => commands::env::run(session),
        Command::Layer(options) => commands::layer::run(session, options.action).await,
        Command::Account(options) => commands::account::run(session, options.action).await,
        Command::Audit(options) => commands::audit::run(session, options).await,
        Command::DeadLetters(options) => commands::dead_letters::run(session, options.action).await,
        Command::Key(options) => commands::key::run(session, options.action).await,
        Command::Doctor => commands::doctor::run(session).await,
        Command::Completions(options) => commands::completions::run(session, options.shell),
        Command::Steward => compose::run_steward(),
        Command::Launcher(options) => compose::run_launcher(&options),
        Command::Filler(options) => compose::run_filler(&options),
        Command::Keeper(_) => compose::run_keeper(),
    }
}
