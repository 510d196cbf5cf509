//! A child process that gets signals only while it is alive and never outlives its owner.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::signal::unix::SignalKind;

use crate::eventually::poll;

/// Killed and reaped by its pid when dropped, even while it is stopped.
pub(crate) struct OwnedChild {
    pid: u32,
    /// Locked while the process is signalled or reaped, so that its pid can't pass to another process in between.
    child: Mutex<Child>,
}

impl OwnedChild {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        static SIGHUP_IS_CAUGHT: Once = Once::new();
        SIGHUP_IS_CAUGHT.call_once(catch_sighup);
        let child = command.spawn()?;
        Ok(Self { pid: child.id(), child: Mutex::new(child) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn try_exit(&self) -> Option<ExitStatus> {
        self.lock().try_wait().expect("the state of a child can be read")
    }

    /// Waits for the exit. `None` if the process is still running at the deadline.
    pub(crate) fn wait(&self, deadline: Duration) -> Option<ExitStatus> {
        poll(deadline, || self.try_exit())
    }

    /// Sends a signal, unless the process has exited: then the error is its exit status.
    ///
    /// After `SIGSTOP` this returns once every thread has stopped (on Linux; on other systems at once).
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ExitStatus> {
        let mut child = self.lock();
        if let Some(status) = child.try_wait().expect("the state of a child can be read") {
            return Err(status);
        }
        let pid = Pid::from_raw(self.pid.cast_signed());
        signal::kill(pid, signal).expect("a child that was not reaped can be signalled");
        drop(child);
        if signal == Signal::SIGSTOP {
            self.wait_until_stopped(pid)?;
        }
        Ok(())
    }

    /// Sends SIGKILL and waits for the exit.
    pub(crate) fn kill(&self) {
        let mut child = self.lock();
        // Both fail only if the child is gone.
        let _ = child.kill();
        let _ = child.wait();
    }

    #[cfg(target_os = "linux")]
    fn wait_until_stopped(&self, pid: Pid) -> Result<(), ExitStatus> {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        // Only peeks (WNOWAIT) and does not ask for WEXITED, because `Child` does the reaping.
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        poll(Duration::from_secs(10), || match waitid(Id::Pid(pid), flags) {
            Ok(WaitStatus::Stopped(..)) => Some(Ok(())),
            _ => self.try_exit().map(Err),
        })
        .expect("SIGSTOP can't be ignored")
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature of the Linux version")]
    fn wait_until_stopped(&self, _pid: Pid) -> Result<(), ExitStatus> {
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child inherits ignored signals, but not handlers: under `nohup`, with a handler here, SIGHUP still ends children.
/// The handler remains when the stream of signals is dropped.
fn catch_sighup() {
    let catch = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let _in_runtime = runtime.enter();
        drop(tokio::signal::unix::signal(SignalKind::hangup()).expect("a handler for SIGHUP"));
    };
    // The caller may be in a runtime of its own.
    std::thread::spawn(catch).join().expect("a handler for SIGHUP");
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.kill();
    }
}
