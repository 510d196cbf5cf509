//! Signals that stop a process, and its exit if it does not stop in time.

use std::{
    future, io,
    pin::pin,
    process,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal as Number, kill},
    unistd::Pid,
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    time,
};
use tokio_util::sync::CancellationToken;

use crate::logging;

/// Signals less than this apart count as one. Ctrl-C reaches a process twice if its parent forwards it, and some
/// supervisors send a signal to each process of a group in turn.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Limit for the exit itself, which may hang in a library.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Cancels `stop` at the first SIGTERM, SIGINT, SIGHUP or SIGQUIT. At a second signal the process exits immediately with
/// code 1; `unfinished` tells the log what happens to its work. The process also exits if it has not ended within
/// `timeout` after `stop` was cancelled, by a signal or otherwise.
///
/// This runs on a thread of its own, so the process ends even if everything else is blocked. A process that was started
/// with SIGHUP ignored (`nohup`) keeps ignoring it.
pub fn stop_on_signals(
    stop: &CancellationToken,
    timeout: Duration,
    unfinished: &'static str,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let signals = listen()?;
    drop(guard);
    let stop = stop.clone();
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(end(signals, stop, timeout, unfinished)))?;
    Ok(())
}

async fn end(
    mut signals: Vec<(&'static str, Signal)>,
    stop: CancellationToken,
    timeout: Duration,
    unfinished: &str,
) {
    let mut last: Option<Instant> = None;
    tokio::select! {
        name = next(&mut signals) => {
            last = Some(Instant::now());
            tracing::info!("{name} received");
            stop.cancel();
        }
        () = stop.cancelled() => {}
    }
    let mut late = pin!(time::sleep(timeout));
    loop {
        tokio::select! {
            name = next(&mut signals) => {
                let is_second = last.is_some_and(|last| last.elapsed() > SAME_SIGNAL);
                last = Some(Instant::now());
                if is_second {
                    tracing::error!("second signal ({name}): exiting at once; {unfinished}");
                    exit();
                }
            }
            () = &mut late => {
                tracing::error!("has not ended within {timeout:?}: exiting at once; {unfinished}");
                exit();
            }
        }
    }
}

fn exit() -> ! {
    logging::flush(logging::LAST_LINES);
    // An exit flushes stdout, among other things, and hangs if nobody reads that.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(EXIT_TIMEOUT);
        let _ = kill(Pid::this(), Number::SIGKILL);
    });
    process::exit(1)
}

/// The signals with their names. A SIGHUP that is ignored stays ignored.
fn listen() -> io::Result<Vec<(&'static str, Signal)>> {
    let mut signals = vec![
        ("SIGTERM", signal(SignalKind::terminate())?),
        ("SIGINT", signal(SignalKind::interrupt())?),
        ("SIGQUIT", signal(SignalKind::quit())?),
    ];
    if !ignores_hang_up() {
        signals.push(("SIGHUP", signal(SignalKind::hangup())?));
    }
    Ok(signals)
}

/// Waits for a signal, and returns its name.
async fn next(signals: &mut [(&'static str, Signal)]) -> &'static str {
    future::poll_fn(|context| {
        let received = signals
            .iter_mut()
            .find_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name));
        received.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Known on Linux only.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & 1 << (Number::SIGHUP as i32 - 1) != 0
}
