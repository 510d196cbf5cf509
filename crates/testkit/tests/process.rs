//! [`Process`] on real processes.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use atode_testkit::{Process, Signal, Stream, binary};

const DEADLINE: Duration = Duration::from_secs(10);

fn sh(script: &str) -> Process {
    Process::builder("/bin/sh").args(["-c", script]).start()
}

#[test]
fn outputs_and_exit_status_are_captured() {
    let process = sh("echo hi; echo err >&2; exit 3");
    assert_eq!(process.wait(DEADLINE).code(), Some(3));
    assert_eq!(process.stdout(), "hi\n");
    assert_eq!(process.stderr(), "err\n");
    assert_eq!(process.try_exit().and_then(|exit| exit.code()), Some(3));
}

#[test]
fn output_is_visible_while_the_process_runs() {
    let process = sh("echo ready; echo warned >&2; exec sleep 60");
    assert_eq!(process.wait_for_stdout(|text| text.contains("ready"), DEADLINE), "ready\n");
    process.wait_for_stderr(|text| text.contains("warned"), DEADLINE);
    assert_eq!(process.try_exit(), None);
}

#[test]
#[should_panic(expected = "the last words")]
fn waiting_for_output_ends_when_the_process_does() {
    let start = Instant::now();
    let process = sh("echo the last words >&2");
    let wait = std::panic::AssertUnwindSafe(|| process.wait_for_stdout(|text| !text.is_empty(), DEADLINE));
    let panic = std::panic::catch_unwind(wait).expect_err("nothing is printed");
    assert!(start.elapsed() < DEADLINE);
    std::panic::resume_unwind(panic);
}

#[test]
#[should_panic(expected = "sh still runs after 50ms\n--- stdout of sh:\nhalf done")]
fn a_timeout_shows_the_output_of_the_process() {
    let process = sh("echo half done; exec sleep 60");
    process.wait_for_stdout(|text| !text.is_empty(), DEADLINE);
    process.wait(Duration::from_millis(50));
}

#[test]
fn signals_arrive() {
    let process = sh("trap 'echo terminated; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    process.wait_for_stdout(|text| text == "ready\n", DEADLINE);
    process.terminate();
    assert!(process.wait(DEADLINE).success());
    assert_eq!(process.stdout(), "ready\nterminated\n");

    let process = sh("exec sleep 60");
    process.signal(Signal::SIGALRM);
    assert_eq!(process.wait(DEADLINE).signal(), Some(14));

    let process = sh("exec sleep 60");
    process.kill();
    assert_eq!(process.try_exit().and_then(|exit| exit.signal()), Some(9));
}

#[test]
fn a_paused_process_does_nothing_until_it_is_resumed() {
    let process = sh("while :; do echo tick; sleep 0.01; done");
    process.wait_for_stdout(|text| !text.is_empty(), DEADLINE);
    for _ in 0..3 {
        process.pause();
        let before = process.stdout();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(process.stdout(), before);
        process.resume();
        process.wait_for_stdout(|text| text.len() > before.len(), DEADLINE);
    }
}

#[test]
#[should_panic(expected = "SIGTERM to sh, which has exited (exit status: 7)")]
fn a_signal_to_a_process_that_has_exited_fails() {
    let process = sh("exit 7");
    process.wait(DEADLINE);
    process.terminate();
}

#[test]
fn dropping_a_paused_process_kills_it() {
    let process = sh("exec sleep 60");
    let pid = nix::unistd::Pid::from_raw(process.pid().cast_signed());
    process.pause();
    drop(process);
    assert_eq!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH));
}

#[test]
fn a_full_pipe_blocks_only_writes_to_it() {
    let script = "echo early >&2; until [ -e go ]; do sleep 0.01; done; echo out; echo late >&2; echo never";
    let dir = tempfile::tempdir().expect("a temporary folder");
    let process = Process::builder("/bin/sh")
        .args(["-c", script])
        .current_dir(dir.path())
        .unread(Stream::Stderr)
        .start();
    process.wait_for_stderr(|text| text == "early\n", DEADLINE);
    process.fill(Stream::Stderr);
    std::fs::write(dir.path().join("go"), "").expect("a file");
    process.wait_for_stdout(|text| text == "out\n", DEADLINE);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((process.try_exit(), process.stdout()), (None, "out\n".to_owned()));
    assert_eq!(process.stderr(), "early\n", "nobody has read the rest");
    // Waiting reads the pipe and so makes room.
    process.wait_for_stderr(|text| text.ends_with("late\n"), DEADLINE);
    assert!(process.wait(DEADLINE).success());
}

#[test]
fn only_settings_of_the_test_affect_the_process() {
    let process = Process::builder("/bin/sh")
        .args(["-c", "env | grep ^APP_; pwd"])
        .env("APP_ENV", "test")
        .current_dir("/")
        .start();
    process.wait(DEADLINE);
    assert_eq!(process.stdout(), "APP_ENV=test\n/\n");
}

#[test]
#[should_panic(expected = "no-such-binary is missing: run `cargo build --workspace` first")]
fn a_missing_binary_is_named() {
    binary("no-such-binary");
}
