//! The life of a server process: command line, log, warnings, signals, runtime, exit code.

mod args;
mod environment;
mod healthcheck;
mod limits;
mod panics;
mod server;
mod signals;

use std::{
    fmt::Display,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use clap::Parser;
use tracing::subscriber::SetGlobalDefaultError;

pub use self::{
    args::ServerArgs,
    environment::unread_variables,
    healthcheck::Unhealthy,
    limits::{Needs, check_limits},
    server::{Shutdown, StartError, serve},
    signals::stop_on_signals,
};
use crate::{build::Build, logging, sections::Logging};

/// The complete `main` of a server: parses the command line, then calls `run`. See [`guard`].
pub fn main<A: Parser, E: Display>(build: Build, run: impl FnOnce(A) -> Result<(), E>) -> ExitCode {
    let command = A::command().name(build.name).version(build.version);
    let args = A::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    guard(build.name, || run(args))
}

/// Calls `run`. If it fails, its error becomes one line on stderr, and the exit code is 1.
///
/// From here on, neither the log nor a panic waits for the reader of stderr.
pub fn guard<E: Display>(name: &str, run: impl FnOnce() -> Result<(), E>) -> ExitCode {
    logging::start();
    panic::set_hook(Box::new(panics::log));
    let run = || {
        check_limits(Needs::of_a_server())?;
        run().map_err(|error| format!("{error:#}"))
    };
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    if let Ok(Err(error)) = &ended {
        logging::last_words(&format!("{name}: {error}"));
    }
    logging::flush(logging::LAST_LINES);
    // The hook has already logged a panic.
    if matches!(ended, Ok(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the log, and logs warnings about the environment of the process.
pub fn begin(settings: &Logging) -> Result<(), SetGlobalDefaultError> {
    logging::init(settings)?;
    let warnings = [limits::few_files(), environment::lost_time_zone(), unread_variables()];
    for warning in warnings.into_iter().flatten() {
        tracing::warn!("{warning}");
    }
    Ok(())
}
