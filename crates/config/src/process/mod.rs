//! What every server process has in common: how it starts, says why it ends, and ends in its time.

mod environment;
mod limits;
mod signals;

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Display,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    process::ExitCode,
    thread,
    time::Duration,
};

use tracing::subscriber::SetGlobalDefaultError;

pub use self::{
    environment::unread_variables,
    limits::{Needs, check_limits},
    signals::stop_on_signals,
};
use crate::{Logging, logging};

/// How long the last lines of the log may take, where nobody reads them.
const LAST_LINES: Duration = Duration::from_millis(500);

/// A server's whole `main`, except for its arguments. The error that `run` ends with is one line on stderr and
/// exit code 1.
///
/// From here on neither the log nor a panic waits for whoever reads stderr.
pub fn main<E: Display>(name: &str, run: impl FnOnce() -> Result<(), E>) -> ExitCode {
    logging::start();
    panic::set_hook(Box::new(log_panic));
    let run = || {
        check_limits(Needs::of_a_server())?;
        run().map_err(|error| format!("{error:#}"))
    };
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    if let Ok(Err(error)) = &ended {
        logging::last_words(&format!("{name}: {error}"));
    }
    logging::flush(LAST_LINES);
    // A panic has been logged by its hook.
    if matches!(ended, Ok(Ok(()))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the log and warns about what is unusual in the process's surroundings.
pub fn begin(settings: &Logging) -> Result<(), SetGlobalDefaultError> {
    logging::init(settings)?;
    let warnings = [limits::few_files(), environment::lost_time_zone(), unread_variables()];
    for warning in warnings.into_iter().flatten() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = text(panic.payload());
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    if !tracing::dispatcher::has_been_set() {
        return logging::last_words(&format!("panicked at {place}: {message}"));
    }
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture(); // only where RUST_BACKTRACE asks for it
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(thread, place, backtrace, "panicked: {message}");
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
