//! The worker binary: its output, its health checks, its cost.

mod support;

use std::time::{Duration, Instant};

use atode_testkit::{Worker, eventually};
use jiff::civil::DateTime;
use support::{DEADLINE, Fixture, NOW, QUEUE};

const KIND: &str = "demo:delay_print";

/// The message of a line `[YYYY-MM-DD HH:MM:SS] message`.
fn message(line: &str) -> &str {
    let (time, message) = line.strip_prefix('[').and_then(|line| line.split_once("] ")).expect(line);
    assert_eq!(time.len(), "YYYY-MM-DD HH:MM:SS".len(), "{line}");
    let printed = DateTime::strptime("%Y-%m-%d %H:%M:%S", time).expect(line);
    let age = jiff::Zoned::now().datetime().duration_since(printed);
    assert!(age.as_secs().abs() < 60, "{line}");
    message
}

#[test]
fn delay_print_prints_only_its_message_as_soon_as_its_delay_is_over() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    let delay = Duration::from_secs(1);
    let enqueued = Instant::now();
    fixture.store(QUEUE, KIND, r#"{"message":"Hello"}"#, atode_queue::Due::After(delay), None);
    let printed = worker.wait_for_stdout(|printed| printed.ends_with('\n'), DEADLINE);
    println!("printed {:?} after its enqueue", enqueued.elapsed());
    assert!(enqueued.elapsed() >= delay);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert_eq!(message(printed.trim_end()), "Hello");
    // Stdout is a file: a line that was not flushed would be missing while the worker runs.
    assert_eq!(worker.try_exit(), None);
}

#[test]
fn delay_print_without_a_message_prints_that_it_was_executed() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    fixture.store(QUEUE, KIND, "{}", NOW, None);
    let printed = worker.wait_for_stdout(|printed| printed.ends_with('\n'), DEADLINE);
    assert_eq!(message(printed.trim_end()), "Job executed successfully");
}

#[test]
fn the_health_checks_show_liveness_readiness_and_warnings() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    let live = fixture.until_registered(1);
    assert_eq!(live[0].http, worker.base_url());

    let reply = worker.get("/health");
    assert_eq!((reply.status, &*reply.text()), (200, "OK"));
    let reply = worker.get("/healthz");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &"ok".into()));
    let reply = worker.get("/readyz");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &"ready".into()));
    assert_eq!(worker.get("/nothing").status, 404);

    fixture.redis.command(&["CONFIG", "SET", "appendonly", "no"]);
    let reply = worker.get("/readyz");
    assert_eq!((reply.status, &reply.json()["status"]), (200, &"degraded".into()));
    assert!(reply.text().contains("AOF is off"), "{}", reply.text());

    fixture.redis.kill();
    eventually("it is not ready", DEADLINE, || (worker.get("/readyz").status == 503).then_some(()));
    assert_eq!(worker.get("/healthz").status, 200);
}

#[test]
fn a_taken_port_ends_the_start_with_a_line_that_names_the_fix() {
    let fixture = Fixture::start();
    let first = Worker::start(&fixture.redis);
    let second = Worker::builder(&fixture.redis.addr()).port(first.port()).spawn();
    assert_eq!(second.wait(DEADLINE).code(), Some(1));
    let log = second.stderr();
    let line = log.lines().last().expect("a line");
    assert!(line.contains("--port 0") && line.contains(&first.port().to_string()), "{log}");
}

#[test]
fn an_idle_worker_sends_few_commands_and_uses_little_cpu() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    fixture.until_registered(1);
    fixture.store(QUEUE, KIND, "{}", NOW, None);
    worker.wait_for_stdout(|printed| !printed.is_empty(), DEADLINE);

    // Counts the commands of clients, without the commands inside scripts.
    let mut monitor = fixture.redis.connect(Duration::from_millis(200)).expect("connected");
    monitor.command(&["MONITOR"]).expect("it monitors");
    let span = Duration::from_secs(4);
    let since = Instant::now();
    let before = cpu_time(worker.pid());
    let mut sent = Vec::new();
    while since.elapsed() < span {
        match monitor.read() {
            Ok(line) if !line.text().contains(" lua] ") => sent.push(line.text()),
            _ => {}
        }
    }
    let cpu = cpu_time(worker.pid()).zip(before).map(|(after, before)| after.saturating_sub(before));
    println!("{} commands and {cpu:?} of CPU in {span:?}", sent.len());
    // The worker sends about five per second, and this test's own client one.
    assert!(sent.len() < 6 * span.as_secs() as usize, "{sent:#?}");
    assert!(cpu.is_none_or(|cpu| cpu < span / 20), "{cpu:?} of CPU in {span:?}");
}

/// CPU time of a process, on systems with `/proc`.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain anything, user and system time are fields 12 and 13, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}
