//! Printing to stdout from a job.

use std::io::{self, StdoutLock, Write, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, anyhow};
use atode_config::one_line;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::context::JobContext;
use crate::job::JobError;

/// Bytes that a pipe with room takes without blocking, whole and in one piece: POSIX' `PIPE_BUF`.
const PIECE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// Between two looks at a stdout that is full.
const FULL_RETRY: Duration = Duration::from_millis(50);

/// How long stdout may be full before the log says so.
const PATIENCE: Duration = Duration::from_secs(1);

/// One job prints at a time, so that a long line stays in one piece.
static TURN: Mutex<()> = Mutex::const_new(());

impl JobContext {
    /// Prints one line to stdout and flushes it. Control characters in it are escaped: it stays one line, and
    /// cannot look like another job's.
    ///
    /// Where stdout is a pipe that nobody reads, `println!` blocks the thread, and with it other jobs. This waits
    /// until there is room or the run is cancelled, which is an error.
    pub async fn print_line(&self, line: &str) -> Result<(), JobError> {
        let mut line = one_line(line).into_owned();
        line.push('\n');
        tokio::select! {
            biased;
            printed = print(line.as_bytes()) => Ok(printed.context("cannot print")?),
            () = self.cancellation.cancelled() => {
                Err(JobError::Retry(anyhow!("cannot print: nobody reads stdout")))
            }
        }
    }
}

async fn print(line: &[u8]) -> io::Result<()> {
    let _turn = TURN.lock().await;
    for piece in line.chunks(PIECE) {
        let since = Instant::now();
        // Stdout is not locked during the wait, so that other code can print.
        while !written(stdout().lock(), piece)? {
            if since.elapsed() > PATIENCE {
                tracing::warn!("nobody reads stdout, which is full: jobs that print wait for it");
            }
            sleep(FULL_RETRY).await;
        }
    }
    Ok(())
}

/// Writes, or says that there is no room for it now.
fn written(mut stdout: StdoutLock<'_>, piece: &[u8]) -> io::Result<bool> {
    let mut files = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    let has_room = poll(&mut files, PollTimeout::ZERO)? > 0;
    if has_room {
        // Flushed at once, also into a file: a line that waits in a buffer looks like a lost job.
        stdout.write_all(piece)?;
        stdout.flush()?;
    }
    Ok(has_room)
}
