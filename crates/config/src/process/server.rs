//! The part of a server's life in which it serves.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::signals::stop_on_signals;
use crate::traces::running::{FLUSH, flush};

/// The end of a server that was asked to stop.
#[derive(Debug, Clone, Copy)]
pub struct Shutdown {
    /// How long the server may take. After that, the process exits.
    pub timeout: Duration,
    /// How long after the request to stop spans may still be sent. It is part of `timeout`.
    pub flush_until: Duration,
    /// The fate of unfinished work when the process exits that way, for the log.
    pub unfinished: &'static str,
}

/// The reason why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

/// Runs `server` to its end on a runtime of its own, with this number of threads, or one thread per processor. A signal
/// cancels the token that `server` gets.
pub fn serve<F, E>(
    shutdown: Shutdown,
    threads: Option<usize>,
    server: impl FnOnce(CancellationToken) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: From<StartError>,
{
    let stop = CancellationToken::new();
    stop_on_signals(&stop, shutdown.timeout, shutdown.unfinished).map_err(StartError::Signals)?;
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().map_err(StartError::Runtime)?;
    let stopped = Arc::new(OnceLock::new());
    let (stopping, at) = (stop.clone(), stopped.clone());
    runtime.spawn(async move {
        stopping.cancelled().await;
        at.set(Instant::now())
    });
    let ended = runtime.block_on(server(stop));
    runtime.shutdown_background();
    let left = stopped.get().map_or(FLUSH, |at| shutdown.flush_until.saturating_sub(at.elapsed()));
    flush(left.min(FLUSH));
    ended
}
