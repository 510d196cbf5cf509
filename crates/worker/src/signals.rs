//! SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first signal cancels `stop`; a second one exits at once.
pub async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals");
        return;
    };
    let mut next = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
    next().await;
    stop.cancel();
    next().await;
    tracing::error!("second signal: exiting at once; running jobs run again when their lease has run out");
    std::process::exit(1);
}
