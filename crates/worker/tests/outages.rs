//! Redis is down, is frozen, loses its scripts, or has a broken key.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{JobId, State};
use atode_testkit::{RedisServer, Worker, eventually};
use support::{
    Act, BlockingTask, DEADLINE, Event, Fixture, NOW, QUEUE, Task, registry, registry_without_jobs, settings,
};
use worker::Settings;

/// Shorter than the outages of these tests.
const LEASE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_millis(3_500);
/// Every worker sweeps at least once in this time, unless it holds off after an outage.
const SWEEP: Duration = Duration::from_millis(3_100);

fn durable() -> RedisServer {
    RedisServer::builder().appendfsync("always").start()
}

/// Two workers run jobs, and further jobs become due during the outage.
fn check_outage(begin: impl Fn(&RedisServer), end: impl Fn(&RedisServer)) {
    let fixture = Fixture::on(durable());
    let settings = Settings { lease: LEASE, ..settings() };
    let _worker = fixture.worker_with(settings.clone(), registry());
    let _sweeper = fixture.worker_with(settings, registry_without_jobs());
    fixture.until_registered(2);
    let ends_while_away = fixture.enqueue(Task::KIND, Act::Sleep(1_000));
    let still_runs_then: Vec<JobId> =
        [Task::KIND, BlockingTask::KIND].iter().map(|kind| fixture.enqueue(kind, Act::Await)).collect();
    let soon = Duration::from_millis(1_500);
    let due_while_away: Vec<JobId> =
        (0..40).map(|_| fixture.enqueue_in(soon, Task::KIND, Act::Succeed)).collect();
    for id in still_runs_then.iter().chain([&ends_while_away]) {
        fixture.until_started(*id, 1);
    }

    begin(&fixture.redis);
    let away = Instant::now();
    fixture.until_event(ends_while_away, Event::End);
    eventually("all leases have expired", DEADLINE, || (away.elapsed() > OUTAGE).then_some(()));
    end(&fixture.redis);
    fixture.until_connected();

    eventually("the test's own client works again", DEADLINE, || {
        fixture.wait(fixture.client.job(&[QUEUE.into()], ends_while_away)).ok()
    });
    let job = fixture.until(ends_while_away, State::Completed);
    assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
    let lost = due_while_away.iter().filter(|id| !fixture.until(**id, State::Completed).attempts.is_empty());
    // A claim whose answer was lost may have taken some of them. They run after their lease has expired.
    let lost = lost.count();
    assert!(lost < 8, "a claim takes at most the free slots, but {lost} jobs were delayed");
    let back = Instant::now();
    eventually("sweeps pass", DEADLINE, || (back.elapsed() > SWEEP).then_some(()));
    fixture.open_gate();
    for id in still_runs_then {
        let job = fixture.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(fixture.starts(id).len(), 1);
    }
    for id in due_while_away.into_iter().chain([ends_while_away]) {
        assert_eq!(fixture.starts(id).len(), 1);
    }
    assert_eq!(fixture.until_registered(2).len(), 2);
}

#[test]
fn workers_recover_from_a_killed_redis_without_running_a_job_twice() {
    check_outage(RedisServer::kill, RedisServer::restart);
}

#[test]
fn workers_recover_from_a_frozen_redis_without_running_a_job_twice() {
    check_outage(RedisServer::pause, RedisServer::resume);
}

#[test]
fn no_job_runs_twice_after_redis_refused_writes_longer_than_a_lease() {
    let fixture = Fixture::start();
    let settings = Settings { lease: Duration::from_secs(3), ..settings() };
    let _worker = fixture.worker_with(settings.clone(), registry());
    let _sweepers = [(); 4].map(|()| fixture.worker_with(settings.clone(), registry_without_jobs()));
    fixture.until_registered(5);
    let ids = fixture.enqueue_many(4, Task::KIND, Act::Await);
    for id in &ids {
        fixture.until_started(*id, 1);
    }
    let refuse = |replicas| fixture.redis.command(&["CONFIG", "SET", "min-replicas-to-write", replicas]);
    refuse("1");
    let since = Instant::now();
    eventually("all leases have expired", DEADLINE, || (since.elapsed() > OUTAGE).then_some(()));
    refuse("0");
    eventually("sweeps pass", DEADLINE, || (since.elapsed() > OUTAGE + SWEEP).then_some(()));
    fixture.open_gate();
    for id in ids {
        let job = fixture.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(fixture.starts(id).len(), 1);
    }
}

#[test]
fn a_worker_that_starts_before_redis_logs_it_waits_and_then_works() {
    let fixture = Fixture::on(RedisServer::builder().prepare());
    let worker = Worker::builder(&fixture.redis.addr()).start();
    worker.wait_for_stderr(|log| log.contains("cannot connect to Redis"), DEADLINE);
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(worker.get("/readyz").status, 503);
    // By then the worker has tried to connect more than once.
    let down = Instant::now();
    eventually("time passes", DEADLINE, || (down.elapsed() > Duration::from_secs(1)).then_some(()));
    assert_eq!(worker.try_exit(), None);

    fixture.redis.restart();
    fixture.until_connected();
    fixture.store(QUEUE, "demo:delay_print", r#"{"message":"at last"}"#, NOW, None);
    worker.wait_for_stdout(|printed| printed.ends_with("at last\n"), DEADLINE);
    eventually("it is ready", DEADLINE, || (worker.get("/readyz").status == 200).then_some(()));
}

#[test]
fn a_healthy_start_logs_no_error() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    fixture.until_registered(1);
    fixture.store(QUEUE, "demo:delay_print", "{}", NOW, None);
    worker.wait_for_stdout(|printed| !printed.is_empty(), DEADLINE);
    worker.terminate();
    worker.wait(DEADLINE);
    let log = worker.stderr();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn flushed_scripts_are_loaded_again() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    for _ in 0..3 {
        let id = fixture.enqueue(Task::KIND, Act::Sleep(50));
        fixture.until_started(id, 1);
        fixture.redis.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(fixture.until(id, State::Completed).attempts.len(), 0);
        assert_eq!(fixture.starts(id).len(), 1);
    }
}

#[test]
fn a_queue_with_a_broken_key_does_not_delay_the_results_of_other_queues() {
    let fixture = Fixture::start();
    let queues = Some([(QUEUE.to_owned(), 1), ("broken".to_owned(), 1)].into());
    let _worker = fixture.worker_with(Settings { queues, ..settings() }, registry());
    let broken = fixture.enqueue_to("broken", Task::KIND, Act::Await);
    fixture.until_started(broken, 1);
    let stats = "atode:{broken}:stats";
    fixture.redis.command(&["RENAME", stats, "kept"]);
    fixture.redis.command(&["SET", stats, "of a wrong type"]);
    fixture.open_gate();
    fixture.until_event(broken, Event::End);

    for _ in 0..5 {
        fixture.until(fixture.enqueue(Task::KIND, Act::Succeed), State::Completed);
    }
    assert_eq!(fixture.job_in("broken", broken).state, Some(State::Active));
    // Once the key is repaired, the result is stored.
    fixture.redis.command(&["RENAME", "kept", stats]);
    fixture.until_in("broken", broken, State::Completed);
}
