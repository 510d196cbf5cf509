//! Redis away, frozen, emptied of scripts, or broken in one place.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{JobId, State};
use atode_testkit::{RedisServer, Worker, eventually};
use support::{
    Act, BlockingTask, DEADLINE, Event, NOW, QUEUE, Stand, Task, registry, registry_without_jobs, settings,
};
use worker::Settings;

/// Shorter than the outages here.
const LEASE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_millis(3_500);
/// In which every worker sweeps at least once, were it not for its caution.
const SWEEP: Duration = Duration::from_millis(3_100);

fn durable() -> RedisServer {
    RedisServer::builder().appendfsync("always").start()
}

/// Jobs run, two workers are there, and a third job waits.
fn outage(take_away: impl Fn(&RedisServer), bring_back: impl Fn(&RedisServer)) {
    let stand = Stand::on(durable());
    let settings = Settings { lease: LEASE, ..settings() };
    let _worker = stand.worker_with(settings.clone(), registry());
    let _sweeper = stand.worker_with(settings, registry_without_jobs());
    stand.until_registered(2);
    let ends_while_away = stand.enqueue(Task::KIND, Act::Sleep(1_000));
    let still_runs_then: Vec<JobId> =
        [Task::KIND, BlockingTask::KIND].iter().map(|kind| stand.enqueue(kind, Act::Await)).collect();
    let soon = Duration::from_millis(1_500);
    let due_while_away: Vec<JobId> =
        (0..40).map(|_| stand.enqueue_in(soon, Task::KIND, Act::Succeed)).collect();
    for id in still_runs_then.iter().chain([&ends_while_away]) {
        stand.until_started(*id, 1);
    }

    take_away(&stand.redis);
    let away = Instant::now();
    stand.until_event(ends_while_away, Event::End);
    eventually("all leases have run out", DEADLINE, || (away.elapsed() > OUTAGE).then_some(()));
    bring_back(&stand.redis);
    stand.until_connected();

    eventually("the test's own client works again", DEADLINE, || {
        stand.wait(stand.client.job(&[QUEUE.into()], ends_while_away)).ok()
    });
    let job = stand.until(ends_while_away, State::Completed);
    assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
    let lost = due_while_away.iter().filter(|id| !stand.until(**id, State::Completed).attempts.is_empty());
    // One claim whose answer was lost may have taken some: they run once their lease has run out.
    let lost = lost.count();
    assert!(lost < 8, "a claim takes no more than the slots that are free; {lost} were lost");
    let back = Instant::now();
    eventually("sweeps pass", DEADLINE, || (back.elapsed() > SWEEP).then_some(()));
    stand.open_gate();
    for id in still_runs_then {
        let job = stand.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(stand.starts(id).len(), 1);
    }
    for id in due_while_away.into_iter().chain([ends_while_away]) {
        assert_eq!(stand.starts(id).len(), 1);
    }
    assert_eq!(stand.until_registered(2).len(), 2);
}

#[test]
fn a_killed_redis_comes_back_and_workers_go_on_unaided_without_repeats() {
    outage(RedisServer::kill, RedisServer::restart);
}

#[test]
fn a_frozen_redis_goes_on_and_so_do_the_workers_without_repeats() {
    outage(RedisServer::pause, RedisServer::resume);
}

#[test]
fn a_redis_that_refuses_writes_beyond_a_lease_makes_no_job_run_twice() {
    let stand = Stand::start();
    let settings = Settings { lease: Duration::from_secs(3), ..settings() };
    let _worker = stand.worker_with(settings.clone(), registry());
    let _sweepers = [(); 4].map(|()| stand.worker_with(settings.clone(), registry_without_jobs()));
    stand.until_registered(5);
    let ids = stand.enqueue_many(4, Task::KIND, Act::Await);
    for id in &ids {
        stand.until_started(*id, 1);
    }
    let refuse = |replicas| stand.redis.command(&["CONFIG", "SET", "min-replicas-to-write", replicas]);
    refuse("1");
    let since = Instant::now();
    eventually("all leases have run out", DEADLINE, || (since.elapsed() > OUTAGE).then_some(()));
    refuse("0");
    eventually("sweeps pass", DEADLINE, || (since.elapsed() > OUTAGE + SWEEP).then_some(()));
    stand.open_gate();
    for id in ids {
        let job = stand.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(stand.starts(id).len(), 1);
    }
}

#[test]
fn a_worker_that_starts_before_redis_says_so_waits_and_works_once_it_is_there() {
    let stand = Stand::on(RedisServer::builder().prepare());
    let worker = Worker::builder(&stand.redis.addr()).start();
    worker.wait_for_stderr(|log| log.contains("no connection to Redis"), DEADLINE);
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(worker.get("/readyz").status, 503);
    // It has tried more than once by then.
    let down = Instant::now();
    eventually("time passes", DEADLINE, || (down.elapsed() > Duration::from_secs(1)).then_some(()));
    assert_eq!(worker.try_exit(), None);

    stand.redis.restart();
    stand.until_connected();
    stand.store(QUEUE, "demo:delay_print", r#"{"message":"at last"}"#, NOW, None);
    worker.wait_for_stdout(|printed| printed.ends_with("at last\n"), DEADLINE);
    eventually("it is ready", DEADLINE, || (worker.get("/readyz").status == 200).then_some(()));
}

#[test]
fn a_healthy_start_logs_no_error() {
    let stand = Stand::start();
    let worker = Worker::start(&stand.redis);
    stand.until_registered(1);
    stand.store(QUEUE, "demo:delay_print", "{}", NOW, None);
    worker.wait_for_stdout(|printed| !printed.is_empty(), DEADLINE);
    worker.terminate();
    worker.wait(DEADLINE);
    let log = worker.stderr();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[test]
fn forgotten_scripts_are_loaded_again() {
    let stand = Stand::start();
    let _worker = stand.worker();
    for _ in 0..3 {
        let id = stand.enqueue(Task::KIND, Act::Sleep(50));
        stand.until_started(id, 1);
        stand.redis.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(stand.until(id, State::Completed).attempts.len(), 0);
        assert_eq!(stand.starts(id).len(), 1);
    }
}

#[test]
fn a_queue_with_a_broken_key_does_not_hold_up_the_results_of_others() {
    let stand = Stand::start();
    let queues = [(QUEUE.into(), 1), ("broken".into(), 1)].into();
    let _worker = stand.worker_with(Settings { queues, ..settings() }, registry());
    let broken = stand.enqueue_to("broken", Task::KIND, Act::Await);
    stand.until_started(broken, 1);
    let stats = "atode:{broken}:stats";
    stand.redis.command(&["RENAME", stats, "kept"]);
    stand.redis.command(&["SET", stats, "of a wrong type"]);
    stand.open_gate();
    stand.until_event(broken, Event::End);

    for _ in 0..5 {
        stand.until(stand.enqueue(Task::KIND, Act::Succeed), State::Completed);
    }
    assert_eq!(stand.job_in("broken", broken).state, Some(State::Active));
    // Mended, the result is stored after all.
    stand.redis.command(&["RENAME", "kept", stats]);
    stand.until_in("broken", broken, State::Completed);
}
