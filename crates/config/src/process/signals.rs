//! Signals that stop a process, and its exit if it does not stop in time.

use std::{
    io,
    pin::pin,
    process, thread,
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
    let signals = Signals::listen()?;
    drop(guard);
    let stop = stop.clone();
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(end(signals, stop, timeout, unfinished)))?;
    Ok(())
}

async fn end(mut signals: Signals, stop: CancellationToken, timeout: Duration, unfinished: &str) {
    let mut last: Option<Instant> = None;
    tokio::select! {
        name = signals.next() => {
            last = Some(Instant::now());
            tracing::info!("{name} received");
            stop.cancel();
        }
        () = stop.cancelled() => {}
    }
    let mut late = pin!(time::sleep(timeout));
    loop {
        tokio::select! {
            name = signals.next() => {
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

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// `None` if the signal stays ignored.
    hang_up: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up,
        })
    }

    async fn next(&mut self) -> &'static str {
        let Signals { terminate, interrupt, quit, hang_up } = self;
        let hang_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = quit.recv() => "SIGQUIT",
            _ = hang_up => "SIGHUP",
        }
    }
}

/// Known on Linux only.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & 1 << (Number::SIGHUP as i32 - 1) != 0
}
