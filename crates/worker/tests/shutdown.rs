//! Workers that are told to stop.

mod support;

use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State, WorkerState};
use atode_testkit::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use atode_testkit::{Worker, eventually};
use support::{Act, BlockingTask, DEADLINE, Event, Stand, Task, causes, registry, settings};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

fn with_timeout(ms: u64) -> Settings {
    Settings { shutdown_timeout: Duration::from_millis(ms), ..settings() }
}

/// All that a worker leaves is a note that it stopped, with a TTL.
fn assert_no_registration(stand: &Stand) {
    for key in stand.redis.command(&["KEYS", "atode:{workers}*"]).texts() {
        assert!(key.ends_with(":stopped"), "{key}");
        assert!(stand.redis.command(&["PTTL", &key]).int() > 3_600_000, "{key}");
    }
}

#[test]
fn sigterm_lets_running_jobs_end_and_claims_no_more() {
    let stand = Stand::start();
    let child = stand.child(&with_timeout(20_000));
    let running = [Task::KIND, BlockingTask::KIND].map(|kind| stand.enqueue(kind, Act::Await));
    for id in running {
        stand.until_started(id, 1);
    }
    child.terminate();
    eventually("it says that it is stopping", DEADLINE, || {
        let live = stand.wait(stand.client.workers()).expect("looked");
        live.iter().any(|worker| worker.state == WorkerState::Stopping).then_some(())
    });
    let late = stand.enqueue(Task::KIND, Act::Succeed);
    assert_eq!(child.try_exit(), None);
    stand.open_gate();

    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    for id in running {
        let job = stand.job(id);
        assert_eq!((job.state, job.attempts.len()), (Some(State::Completed), 0));
    }
    assert_eq!(stand.job(late).state, Some(State::Ready));
    stand.until_registered(0);
    assert_no_registration(&stand);
}

#[test]
fn beyond_the_shutdown_timeout_jobs_are_released_unspent() {
    let stand = Stand::start();
    let child = stand.child(&with_timeout(200));
    let ids =
        [(Task::KIND, Act::Await), (Task::KIND, Act::AwaitCancellation), (BlockingTask::KIND, Act::Await)]
            .map(|(kind, act)| stand.enqueue(kind, act));
    for id in ids {
        stand.until_started(id, 1);
    }
    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    for id in ids {
        let job = stand.job(id);
        assert_eq!((job.state, job.attempt, job.attempts.len()), (Some(State::Ready), 0, 0), "{job:?}");
    }
    // Cancelled, and dropped where that was of no use.
    stand.until_event(ids[0], Event::Dropped);
    stand.until_event(ids[1], Event::End);
    stand.until_registered(0);
    // The next worker takes them, as their first attempt.
    let _next = stand.worker();
    stand.open_gate();
    assert_eq!(stand.until(ids[0], State::Completed).attempt, 1);
    assert_eq!(stand.starts(ids[0]).len(), 2);
}

#[test]
fn what_cannot_be_stopped_keeps_its_lease_and_what_never_began_is_released() {
    let stand = Stand::start();
    let child = stand.child(&Settings { concurrency: 100, ..with_timeout(0) });
    let mut ids = vec![stand.enqueue(BlockingTask::KIND, Act::Block)];
    let threads = available_parallelism().expect("known").get();
    ids.extend((0..threads).map(|_| stand.enqueue(Task::KIND, Act::Block)));
    for id in &ids {
        stand.until_started(*id, 1);
    }
    let without_a_thread = stand.enqueue(Task::KIND, Act::Succeed);
    stand.until(without_a_thread, State::Active);

    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    assert!(child.stderr().contains("does not end"), "{}", child.stderr());
    for id in ids {
        assert_eq!(stand.job(id).state, Some(State::Active));
    }
    let job = stand.job(without_a_thread);
    assert_eq!((job.state, job.attempt), (Some(State::Ready), 0), "it never ran");
    stand.until_registered(0);
}

#[test]
fn five_deploys_in_a_row_bury_no_job_that_blocks_longer_than_the_shutdown_takes() {
    let stand = Stand::start();
    let settings = Settings { lease: Duration::from_secs(2), ..with_timeout(0) };
    let id = stand.enqueue(BlockingTask::KIND, Act::Block);
    for deploy in 1..=5 {
        let child = stand.child(&settings);
        stand.until_started(id, deploy);
        child.terminate();
        assert_eq!(child.wait(DEADLINE).code(), Some(0));
    }
    let _next = stand.worker_with(settings, registry());
    stand.until_started(id, 6);
    stand.open_gate();
    let job = stand.until(id, State::Completed);
    assert_eq!(causes(&job), [FailureCause::Shutdown; 5]);
    assert_eq!(job.attempt, 1, "no deploy spends an attempt");
    let workers = stand.starts(id).into_iter().map(|start| start.worker).take(5);
    assert!(job.attempts.iter().map(|attempt| attempt.worker.id).eq(workers), "{:?}", job.attempts);
    let state = stand.redis.command(&["HGET", "atode:{default}:state", &id.short()]).text();
    assert!(!state.contains("crashes"), "{state}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let stand = Stand::start();
    let child = stand.child(&with_timeout(60_000));
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    child.signal(SIGINT);
    child.wait_for_stderr(|log| log.contains("stopping: no more claims"), DEADLINE);
    // Within 100 ms it would be the same one.
    thread::sleep(Duration::from_millis(200));
    let since = Instant::now();
    child.terminate();
    assert_eq!(child.wait(DEADLINE).code(), Some(1));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(child.stderr().contains("second signal (SIGTERM)"), "{}", child.stderr());
    assert_eq!(stand.job(id).state, Some(State::Active), "it comes back when its lease runs out");
}

#[test]
fn a_storm_of_signals_drains_once() {
    let stand = Stand::start();
    let child = stand.child(&with_timeout(60_000));
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().cycle().take(100) {
        child.signal(signal);
        thread::sleep(Duration::from_millis(5));
    }
    stand.open_gate();
    assert_eq!(child.wait(DEADLINE).code(), Some(0), "{}", child.stderr());
    assert_eq!(stand.job(id).state, Some(State::Completed));
}

#[test]
fn an_idle_worker_stops_at_once_by_each_signal_and_leaves_no_registration() {
    let stand = Stand::start();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        let worker = Worker::start(&stand.redis);
        stand.until_registered(1);
        let since = Instant::now();
        worker.signal(signal);
        assert_eq!(worker.wait(DEADLINE).code(), Some(0));
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        assert_no_registration(&stand);
    }
}

#[test]
fn a_worker_can_be_stopped_while_redis_is_away() {
    let stand = Stand::start();
    let child = stand.child(&with_timeout(10_000));
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    stand.redis.kill();
    child.terminate();
    child.wait_for_stderr(|log| log.contains("stopping: no more claims"), DEADLINE);
    stand.open_gate();
    // Redis is back in time: the result is stored before the end.
    stand.until_event(id, Event::End);
    stand.redis.restart();
    assert_eq!(child.wait(DEADLINE).code(), Some(0));
    stand.until_connected();
    assert_eq!(stand.until(id, State::Completed).attempts.len(), 0);
}
