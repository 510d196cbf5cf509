//! Signals that end a process, and the time by which it has ended.

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

use super::LAST_LINES;
use crate::logging;

/// Signals that come this soon after one another count as one: Ctrl-C reaches a process twice where what
/// started it passes it on, and some supervisors send a signal to each process of a group in turn.
const SAME: Duration = Duration::from_millis(100);

/// An exit that hangs, because of what a library does in it, ends after this long.
const EXIT: Duration = Duration::from_secs(2);

/// Cancels `stop` at the first SIGTERM, SIGINT, SIGHUP or SIGQUIT. A second one exits at once with code 1;
/// `unfinished` says what becomes of the work. Once `stop` is cancelled, by whomever, the process also exits when
/// it has not ended after `patience`.
///
/// All of this happens on a thread of its own: whatever blocks the process, it ends. A process that was started
/// with SIGHUP ignored (`nohup`) keeps ignoring it.
pub fn stop_on_signals(
    stop: &CancellationToken,
    patience: Duration,
    unfinished: &'static str,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let signals = Signals::listen()?;
    drop(guard);
    let stop = stop.clone();
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(end(signals, stop, patience, unfinished)))?;
    Ok(())
}

async fn end(mut signals: Signals, stop: CancellationToken, patience: Duration, unfinished: &str) {
    let mut last: Option<Instant> = None;
    tokio::select! {
        name = signals.next() => {
            last = Some(Instant::now());
            tracing::info!("{name} received");
            stop.cancel();
        }
        () = stop.cancelled() => {}
    }
    let mut late = pin!(time::sleep(patience));
    loop {
        tokio::select! {
            name = signals.next() => {
                let is_second = last.is_some_and(|last| last.elapsed() > SAME);
                last = Some(Instant::now());
                if is_second {
                    tracing::error!("second signal ({name}): exiting at once; {unfinished}");
                    exit();
                }
            }
            () = &mut late => {
                tracing::error!("has not ended within {patience:?}: exiting at once; {unfinished}");
                exit();
            }
        }
    }
}

fn exit() -> ! {
    logging::flush(LAST_LINES);
    // To exit means to flush stdout, among other things, and nobody may read that.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(EXIT);
        let _ = kill(Pid::this(), Number::SIGKILL);
    });
    process::exit(1)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// `None`: it stays ignored.
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

/// Where the system tells: Linux.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored & 1 << (Number::SIGHUP as i32 - 1) != 0
}
