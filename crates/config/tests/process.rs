//! The exit of a process that does not end by itself. This program starts itself as that process.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write, stdout},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use atode_config::{Logging, process};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio_util::sync::CancellationToken;

const STUCK: &str = "PROCESS_TEST_STUCK";
const TIMEOUT: Duration = Duration::from_millis(300);

/// The process that the other tests start. Does nothing by itself.
#[test]
fn child() {
    let Ok(stuck_in) = env::var(STUCK) else { return };
    let _ = process::guard("child", || {
        process::begin(&Logging::default()).map_err(|error| error.to_string())?;
        let stop = CancellationToken::new();
        process::stop_on_signals(&stop, TIMEOUT, "the work is lost").map_err(|error| error.to_string())?;
        if stuck_in == "stdout" {
            // Buffered, and flushed only at the exit.
            write!(stdout(), "half a line").map_err(|error| error.to_string())?;
        }
        tracing::info!("listening");
        loop {
            thread::sleep(Duration::from_secs(1));
        }
        #[expect(unreachable_code, reason = "its type is needed")]
        Ok::<(), String>(())
    });
}

fn start(stuck_in: &str, stdout: Stdio) -> (Child, BufReader<impl Read>) {
    let mut command = Command::new(env::current_exe().expect("this program is a file"));
    command.args(["--exact", "child", "--nocapture"]).env(STUCK, stuck_in);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("this program starts again");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert!(log.read_line(&mut line).expect("readable") > 0, "the process has ended");
    }
    (child, log)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("the process runs");
}

fn ended(mut child: Child) -> ExitStatus {
    let since = Instant::now();
    loop {
        if let Some(exit) = child.try_wait().expect("a child of this process") {
            return exit;
        }
        if since.elapsed() > Duration::from_secs(30) {
            let _ = child.kill();
            panic!("the process does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_process_that_does_not_end_in_time_exits_and_says_so() {
    let (child, mut log) = start("work", Stdio::null());
    let since = Instant::now();
    signal(&child, Signal::SIGQUIT);
    assert_eq!(ended(child).code(), Some(1));
    assert!(since.elapsed() >= TIMEOUT);
    let mut text = String::new();
    log.read_to_string(&mut text).expect("readable");
    assert!(text.contains("has not ended within 300ms") && text.contains("the work is lost"), "{text}");
}

#[test]
fn an_exit_that_hangs_in_a_flush_of_stdout_ends_too() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let (child, _log) = start("stdout", Stdio::from(writer.try_clone().expect("a copy of the writing end")));
    let has_room = |writer: &io::PipeWriter| {
        poll(&mut [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO)
            .expect("the state of the pipe")
            > 0
    };
    while has_room(&writer) {
        writer.write_all(&[b'.'; 4096]).expect("room in the pipe");
    }
    signal(&child, Signal::SIGTERM);
    let exit = ended(child);
    assert_eq!((exit.code(), exit.signal()), (None, Some(9)));
    drop(reader);
}
