//! What the binaries write to stderr. Stdout belongs to jobs.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing::Subscriber;
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt, registry};

use crate::{LogFormat, Logging};

/// For `tracing::subscriber::set_global_default`. Lines that cannot be written are lost without a panic.
#[must_use]
pub fn subscriber(cfg: &Logging) -> impl Subscriber + Send + Sync + use<> {
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Otherwise a failed write is reported by `eprintln!`, which panics as it fails in turn.
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours).log_internal_errors(false);
    let lines = match cfg.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(cfg.level.clone()).with(lines)
}
