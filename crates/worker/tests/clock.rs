//! Jumps of Redis' clock make jobs early or late. They lose none and repeat none.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{Due, JobId, State};
use atode_testkit::{Clock, RedisServer, Worker, eventually};
use support::{Act, DEADLINE, Fixture, QUEUE, Task, registry, settings};
use worker::Settings;

const HOUR: Duration = Duration::from_secs(3_600);
const LEASE: Duration = Duration::from_secs(3);

struct Jump {
    fixture: Fixture,
    running: Vec<JobId>,
    later: JobId,
    _workers: [support::Worker; 2],
}

/// Two workers with jobs that run until the gate opens, and a job that is due in half an hour.
fn before_the_jump() -> Jump {
    let fixture = Fixture::on(RedisServer::builder().with_clock().start());
    let settings = Settings { lease: LEASE, ..settings() };
    let workers = [(); 2].map(|()| fixture.worker_with(settings.clone(), registry()));
    fixture.until_registered(2);
    let running = fixture.enqueue_many(6, Task::KIND, Act::Await);
    for id in &running {
        fixture.until_started(*id, 1);
    }
    let later = fixture.enqueue_in(HOUR / 2, Task::KIND, Act::Succeed);
    Jump { fixture, running, later, _workers: workers }
}

impl Jump {
    /// After several leases and sweeps, each running job still has its one run.
    fn check_after_three_leases(&self) {
        let since = std::time::Instant::now();
        eventually("three leases pass", DEADLINE, || (since.elapsed() > 3 * LEASE).then_some(()));
        self.fixture.until_registered(2);
        self.fixture.open_gate();
        for id in &self.running {
            let job = self.fixture.until(*id, State::Completed);
            assert_eq!((job.attempts.len(), self.fixture.starts(*id).len()), (0, 1), "{:?}", job.attempts);
        }
        let soon = self.fixture.enqueue_in(Duration::from_millis(300), Task::KIND, Act::Succeed);
        self.fixture.until(soon, State::Completed);
    }
}

#[test]
fn a_clock_set_forward_by_an_hour_repeats_no_job() {
    let jump = before_the_jump();
    jump.fixture.redis.clock().step_forward(HOUR);
    jump.fixture.until(jump.later, State::Completed);
    jump.check_after_three_leases();
}

#[test]
fn a_clock_set_back_by_an_hour_repeats_no_job() {
    let jump = before_the_jump();
    jump.fixture.redis.clock().step_back(HOUR);
    jump.check_after_three_leases();
    assert_eq!(jump.fixture.job(jump.later).state, Some(State::Scheduled));
    jump.fixture.redis.clock().step_forward(HOUR);
    jump.fixture.redis.clock().step_forward(HOUR);
    jump.fixture.until(jump.later, State::Completed);
}

#[test]
fn a_lease_lost_right_after_the_clock_was_set_back_is_recovered_in_time() {
    let fixture = Fixture::on(RedisServer::builder().with_clock().start());
    let settings = Settings { lease: LEASE, ..settings() };
    let child = fixture.child(&settings);
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    fixture.redis.clock().step_back(HOUR);
    child.kill();
    let _other = fixture.worker_with(settings, registry());
    fixture.until_started(id, 2);
    fixture.open_gate();
    fixture.until(id, State::Completed);
}

#[test]
fn a_worker_whose_clock_is_an_hour_off_starts_jobs_on_time() {
    let fixture = Fixture::start();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let clock = Clock::build(dir.path());
    clock.step_forward(HOUR);
    let worker = clock
        .environment()
        .into_iter()
        .fold(Worker::builder(&fixture.redis.addr()), |worker, (name, value)| worker.env(name, value))
        .start();
    let due = Due::After(Duration::from_millis(1_500));
    let id = fixture.store(QUEUE, "demo:delay_print", "{}", due, None);
    let job = fixture.until(id, State::Completed);
    let (due, started) = (job.due_at.expect("due"), job.started_at.expect("started"));
    let late = started.as_millisecond() - due.as_millisecond();
    assert!((0..5_000).contains(&late), "{late} ms late");
    let log = worker.wait_for_stderr(|log| log.contains("behind this machine's"), DEADLINE);
    assert!(log.contains("3599 s") || log.contains("3600 s"), "{log}");
    clock.step_back(2 * HOUR);
    let again = fixture.store(QUEUE, "demo:delay_print", "{}", Due::After(Duration::from_millis(300)), None);
    fixture.until(again, State::Completed);
}

#[test]
fn child_worker() {
    support::child_worker();
}
