//! Both servers in a bad environment: output that nobody reads, limits that are too low, an invalid time zone.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use atode_queue::State;
use atode_testkit::{
    Binary, Gateway, GatewayBinary, Process, Service, Stream, WorkerBinary, binary, eventually,
};
use support::{DEADLINE, Fixture, NOW, QUEUE};

type Worker = Service<WorkerBinary>;

const KIND: &str = "demo:delay_print";

/// Checks that a server answers, and exits with 0 soon after SIGTERM.
#[track_caller]
fn serves_and_ends<B: Binary>(server: &Service<B>) {
    for _ in 0..20 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    let asked = Instant::now();
    server.terminate();
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn a_gateway_whose_log_nobody_reads_serves_and_exits_in_time() {
    let fixture = Fixture::start();
    let gateway = Gateway::builder(&fixture.redis.addr()).unread(Stream::Stderr).start();
    gateway.fill(Stream::Stderr);
    fixture.redis.kill();
    // Each request logs a line, or is counted in one.
    for _ in 0..50 {
        assert_eq!(gateway.get("/v1/queues").status, 503);
    }
    serves_and_ends(&gateway);
}

#[test]
fn a_worker_whose_log_nobody_reads_works_exits_in_time_and_reports_dropped_lines() {
    const JOBS: usize = 3_000;
    let fixture = Fixture::start();
    // Two log lines per job are more than the log buffers.
    let worker = Worker::builder(&fixture.redis.addr())
        .env("APP__LOGGING__LEVEL", "info,job=debug")
        .unread(Stream::Stderr)
        .start();
    worker.fill(Stream::Stderr);
    let ids: Vec<_> = (0..JOBS).map(|_| fixture.store(QUEUE, KIND, "{}", NOW, None)).collect();
    for id in ids {
        fixture.until(id, State::Completed);
    }
    assert_eq!(worker.get("/readyz").status, 200);
    assert!(worker.metric("atode_log_lines_dropped_total") > 0);
    worker.wait_for_stderr(|log| log.contains("log lines are missing here"), DEADLINE);
    worker.fill(Stream::Stderr);
    fixture.store(QUEUE, KIND, "{}", NOW, None);
    serves_and_ends(&worker);
}

#[test]
fn a_worker_whose_stdout_nobody_reads_keeps_its_leases_and_exits_in_time() {
    let fixture = Fixture::start();
    let worker = Worker::builder(&fixture.redis.addr())
        .env("APP__WORKER__SHUTDOWN_TIMEOUT", "500ms")
        .env("APP__WORKER__LEASE", "5s")
        .unread(Stream::Stdout)
        .start();
    worker.fill(Stream::Stdout);
    let long = serde_json::json!({"message": "x".repeat(20_000)}).to_string();
    let ids = ["{}", "{}", "{}", "{}", &long].map(|payload| fixture.store(QUEUE, KIND, payload, NOW, None));
    for id in ids {
        fixture.until(id, State::Active);
    }
    worker.wait_for_stderr(|log| log.contains("nobody reads stdout"), DEADLINE);
    let token = |id| fixture.job(id).worker.expect("active").id;
    let holders = ids.map(token);
    // This is longer than the lease, so the leases are extended meanwhile.
    let since = Instant::now();
    eventually("a lease would have expired", DEADLINE, || (since.elapsed().as_secs() > 7).then_some(()));
    assert_eq!(ids.map(token), holders);
    serves_and_ends(&worker);
    for id in ids {
        let job = fixture.job(id);
        assert_eq!((job.state, job.attempt, job.attempts.len()), (Some(State::Ready), 0, 0), "{job:?}");
    }

    // The next worker prints all of it once somebody reads, and the long line in one piece.
    let next = Worker::builder(&fixture.redis.addr()).unread(Stream::Stdout).start();
    let all = |printed: &str| printed.matches('\n').count() == ids.len();
    let printed = next.wait_for_stdout(all, DEADLINE);
    assert!(printed.lines().any(|line| line.ends_with(&"x".repeat(20_000))), "{printed}");
    for id in ids {
        fixture.until(id, State::Completed);
    }
}

#[test]
fn a_message_with_control_characters_stays_on_one_line() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    let message = "a\n[2026-01-01 00:00:00] forged\r\u{1b}[2J\0\u{85}\u{2028}\u{202e}z";
    let payload = serde_json::json!({ "message": message }).to_string();
    fixture.store(QUEUE, KIND, &payload, NOW, None);
    let printed = worker.wait_for_stdout(|printed| printed.ends_with('\n'), DEADLINE);
    let line = r"] a\n[2026-01-01 00:00:00] forged\r\u{1b}[2J\u{0}\u{85}\u{2028}\u{202e}z";
    assert!(printed.ends_with(&format!("{line}\n")) && printed.lines().count() == 1, "{printed}");
}

const ALL: [&str; 3] = [GatewayBinary::NAME, WorkerBinary::NAME, "atode"];

/// A program started by a `sh` script that prepares its environment.
fn under(script: &str, name: &str) -> Process {
    let arguments = if name == "atode" { &["queues"][..] } else { &["--port", "0"] };
    let config = atode_testkit::workspace_root().join("config");
    let process = Process::builder("/bin/sh").args(["-c", script]).arg(binary(name)).args(arguments);
    // No Redis listens there: a program that starts by mistake does no harm.
    let process = process.env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", "127.0.0.1:1");
    process.env("APP_ENV", "test").env("APP_CONFIG_DIR", config).start()
}

/// Checks that a program does not start, and logs the reason in one line.
#[track_caller]
fn refused(server: &Process, words: &[&str]) {
    assert_eq!(server.wait(DEADLINE).code(), Some(1), "{}", server.stderr());
    let log = server.stderr();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(words.iter().all(|word| log.contains(word)), "{log}");
}

#[test]
fn too_few_open_files_end_the_start_with_a_line_that_names_the_limit() {
    for name in ALL {
        refused(&under("ulimit -n 20; exec \"$0\" \"$@\"", name), &["open files is 20", "ulimit -n"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn too_few_processes_end_the_start_with_a_line_that_names_the_limit() {
    // Root is not limited.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let user = if is_root { "setpriv --reuid=64123 --regid=64123 --clear-groups" } else { "" };
    let script = format!("exec prlimit --nproc=1 {user} \"$0\" \"$@\"");
    for name in ALL {
        refused(&under(&script, name), &["threads", "ulimit -u"]);
    }
}

#[test]
fn a_start_that_fails_exits_with_1_where_its_reason_cannot_be_written() {
    for name in ALL {
        for target in ["2>/dev/full", "2>&-", "2>&1 >&-"] {
            let server = under(&format!("APP__SERVER__PORT=none exec \"$0\" \"$@\" {target}"), name);
            assert_eq!(server.wait(DEADLINE).code(), Some(1), "{name} {target}");
        }
    }
}

#[test]
fn settings_without_effect_are_logged_once_at_the_start() {
    fn log<B: Binary>() -> String {
        let fixture = Fixture::start();
        let server = Service::<B>::builder(&fixture.redis.addr())
            .env("APP_SERVER_PORT", "9090")
            .env("TZ", "Mars/Olympus")
            .start();
        server.terminate();
        server.wait(DEADLINE);
        server.stderr()
    }
    for log in [log::<GatewayBinary>(), log::<WorkerBinary>()] {
        let warnings: Vec<_> =
            log.lines().filter(|line| line.contains(" WARN atode_config::process: ")).collect();
        assert_eq!(warnings.len(), 2, "{log}");
        assert!(warnings.iter().any(|line| line.contains("APP_SERVER_PORT")), "{log}");
        assert!(warnings.iter().any(|line| line.contains("TZ=Mars/Olympus")), "{log}");
    }
}
