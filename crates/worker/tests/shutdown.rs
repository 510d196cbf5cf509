//! The shutdown of a worker.

mod support;

use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State, WorkerState};
use atode_testkit::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use atode_testkit::{Worker, eventually};
use support::{Act, BlockingTask, DEADLINE, Event, Fixture, Task, causes, registry, settings};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

fn with_timeout(ms: u64) -> Settings {
    Settings { shutdown_timeout: Duration::from_millis(ms), ..settings() }
}

/// Checks that a worker leaves only the mark that it stopped, which has a TTL.
fn assert_no_registration(fixture: &Fixture) {
    for key in fixture.redis.command(&["KEYS", "atode:{workers}*"]).texts() {
        assert!(key.ends_with(":stopped"), "{key}");
        assert!(fixture.redis.command(&["PTTL", &key]).int() > 3_600_000, "{key}");
    }
}

#[test]
fn after_sigterm_running_jobs_finish_and_no_more_are_claimed() {
    let fixture = Fixture::start();
    let child = fixture.child(&with_timeout(20_000));
    let running = [Task::KIND, BlockingTask::KIND].map(|kind| fixture.enqueue(kind, Act::Await));
    for id in running {
        fixture.until_started(id, 1);
    }
    child.terminate();
    eventually("it says that it is stopping", DEADLINE, || {
        let live = fixture.wait(fixture.client.workers()).expect("looked");
        live.iter().any(|worker| worker.state == WorkerState::Stopping).then_some(())
    });
    let late = fixture.enqueue(Task::KIND, Act::Succeed);
    assert_eq!(child.try_exit(), None);
    fixture.open_gate();

    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    for id in running {
        let job = fixture.job(id);
        assert_eq!((job.state, job.attempts.len()), (Some(State::Completed), 0));
    }
    assert_eq!(fixture.job(late).state, Some(State::Ready));
    fixture.until_registered(0);
    assert_no_registration(&fixture);
}

#[test]
fn after_the_shutdown_timeout_jobs_are_released_without_spending_an_attempt() {
    let fixture = Fixture::start();
    let child = fixture.child(&with_timeout(200));
    let ids =
        [(Task::KIND, Act::Await), (Task::KIND, Act::AwaitCancellation), (BlockingTask::KIND, Act::Await)]
            .map(|(kind, act)| fixture.enqueue(kind, act));
    for id in ids {
        fixture.until_started(id, 1);
    }
    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    for id in ids {
        let job = fixture.job(id);
        assert_eq!((job.state, job.attempt, job.attempts.len()), (Some(State::Ready), 0, 0), "{job:?}");
    }
    // Both handlers were cancelled. The one that ignored it was dropped.
    fixture.until_event(ids[0], Event::Dropped);
    fixture.until_event(ids[1], Event::End);
    fixture.until_registered(0);
    // The next worker runs them as their first attempt.
    let _next = fixture.worker();
    fixture.open_gate();
    assert_eq!(fixture.until(ids[0], State::Completed).attempt, 1);
    assert_eq!(fixture.starts(ids[0]).len(), 2);
}

#[test]
fn a_job_that_cannot_be_stopped_keeps_its_lease_and_one_that_never_started_is_released() {
    let fixture = Fixture::start();
    let child = fixture.child(&Settings { concurrency: 100, ..with_timeout(0) });
    let mut ids = vec![fixture.enqueue(BlockingTask::KIND, Act::Block)];
    let threads = available_parallelism().expect("known").get();
    ids.extend((0..threads).map(|_| fixture.enqueue(Task::KIND, Act::Block)));
    for id in &ids {
        fixture.until_started(*id, 1);
    }
    let without_a_thread = fixture.enqueue(Task::KIND, Act::Succeed);
    fixture.until(without_a_thread, State::Active);

    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    assert!(child.stderr().contains("did not end"), "{}", child.stderr());
    for id in ids {
        assert_eq!(fixture.job(id).state, Some(State::Active));
    }
    let job = fixture.job(without_a_thread);
    assert_eq!((job.state, job.attempt), (Some(State::Ready), 0), "it never ran");
    fixture.until_registered(0);
}

#[test]
fn five_deploys_in_a_row_do_not_bury_a_job_that_blocks_longer_than_a_shutdown() {
    let fixture = Fixture::start();
    let settings = Settings { lease: Duration::from_secs(2), ..with_timeout(0) };
    let id = fixture.enqueue(BlockingTask::KIND, Act::Block);
    for deploy in 1..=5 {
        let child = fixture.child(&settings);
        fixture.until_started(id, deploy);
        child.terminate();
        assert_eq!(child.wait(DEADLINE).code(), Some(0));
    }
    let _next = fixture.worker_with(settings, registry());
    fixture.until_started(id, 6);
    fixture.open_gate();
    let job = fixture.until(id, State::Completed);
    assert_eq!(causes(&job), [FailureCause::Shutdown; 5]);
    assert_eq!(job.attempt, 1, "no deploy spends an attempt");
    let workers = fixture.starts(id).into_iter().map(|start| start.worker).take(5);
    assert!(job.attempts.iter().map(|attempt| attempt.worker.id).eq(workers), "{:?}", job.attempts);
    let state = fixture.redis.command(&["HGET", "atode:{default}:state", &id.short()]).text();
    assert!(!state.contains("crashes"), "{state}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let fixture = Fixture::start();
    let child = fixture.child(&with_timeout(60_000));
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    child.signal(SIGINT);
    child.wait_for_stderr(|log| log.contains("stopping: claiming no more jobs"), DEADLINE);
    // Signals within 100 ms count as one.
    thread::sleep(Duration::from_millis(200));
    let since = Instant::now();
    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(1));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(child.stderr().contains("second signal (SIGTERM)"), "{}", child.stderr());
    assert_eq!(
        fixture.job(id).state,
        Some(State::Active),
        "the job is recovered after its lease has expired"
    );
}

#[test]
fn many_signals_at_once_cause_one_orderly_shutdown() {
    let fixture = Fixture::start();
    let child = fixture.child(&with_timeout(60_000));
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().cycle().take(100) {
        child.signal(signal);
        thread::sleep(Duration::from_millis(5));
    }
    fixture.open_gate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0), "{}", child.stderr());
    assert_eq!(fixture.job(id).state, Some(State::Completed));
}

#[test]
fn each_signal_stops_an_idle_worker_at_once_and_no_registration_is_left() {
    let fixture = Fixture::start();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        let worker = Worker::start(&fixture.redis);
        fixture.until_registered(1);
        let since = Instant::now();
        worker.signal(signal);
        assert_eq!(worker.wait(DEADLINE).code(), Some(0));
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        assert_no_registration(&fixture);
    }
}

#[test]
fn a_worker_can_be_stopped_while_redis_is_away() {
    let fixture = Fixture::start();
    let child = fixture.child(&with_timeout(10_000));
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    fixture.redis.kill();
    child.terminate();
    child.wait_for_stderr(|log| log.contains("stopping: claiming no more jobs"), DEADLINE);
    fixture.open_gate();
    // Redis is back in time, so the result is stored before the worker exits.
    fixture.until_event(id, Event::End);
    fixture.redis.restart();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    fixture.until_connected();
    assert_eq!(fixture.until(id, State::Completed).attempts.len(), 0);
}
