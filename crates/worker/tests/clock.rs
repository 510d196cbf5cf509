//! Redis' clock jumps: jobs are early or late, none is lost, and none is repeated for it.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{Due, JobId, State};
use atode_testkit::{Clock, RedisServer, Worker, eventually};
use support::{Act, DEADLINE, QUEUE, Stand, Task, registry, settings};
use worker::Settings;

const HOUR: Duration = Duration::from_secs(3_600);
const LEASE: Duration = Duration::from_secs(3);

struct Jump {
    stand: Stand,
    running: Vec<JobId>,
    later: JobId,
    _workers: [support::Worker; 2],
}

/// Two workers with jobs that run until the gate opens, and one that is due in half an hour.
fn before_the_jump() -> Jump {
    let stand = Stand::on(RedisServer::builder().with_clock().start());
    let settings = Settings { lease: LEASE, ..settings() };
    let workers = [(); 2].map(|()| stand.worker_with(settings.clone(), registry()));
    stand.until_registered(2);
    let running = stand.enqueue_many(6, Task::KIND, Act::Await);
    for id in &running {
        stand.until_started(*id, 1);
    }
    let later = stand.enqueue_in(HOUR / 2, Task::KIND, Act::Succeed);
    Jump { stand, running, later, _workers: workers }
}

impl Jump {
    /// Leases and sweeps have passed, and the running jobs run on, once each.
    fn outlast(&self) {
        let since = std::time::Instant::now();
        eventually("three leases pass", DEADLINE, || (since.elapsed() > 3 * LEASE).then_some(()));
        self.stand.until_registered(2);
        self.stand.open_gate();
        for id in &self.running {
            let job = self.stand.until(*id, State::Completed);
            assert_eq!((job.attempts.len(), self.stand.starts(*id).len()), (0, 1), "{:?}", job.attempts);
        }
        let soon = self.stand.enqueue_in(Duration::from_millis(300), Task::KIND, Act::Succeed);
        self.stand.until(soon, State::Completed);
    }
}

#[test]
fn an_hour_forward_repeats_no_job() {
    let jump = before_the_jump();
    jump.stand.redis.clock().step_forward(HOUR);
    jump.stand.until(jump.later, State::Completed);
    jump.outlast();
}

#[test]
fn an_hour_back_repeats_no_job() {
    let jump = before_the_jump();
    jump.stand.redis.clock().step_back(HOUR);
    jump.outlast();
    assert_eq!(jump.stand.job(jump.later).state, Some(State::Scheduled));
    jump.stand.redis.clock().step_forward(HOUR);
    jump.stand.redis.clock().step_forward(HOUR);
    jump.stand.until(jump.later, State::Completed);
}

#[test]
fn a_lease_lost_right_after_the_clock_went_back_is_recovered_in_time() {
    let stand = Stand::on(RedisServer::builder().with_clock().start());
    let settings = Settings { lease: LEASE, ..settings() };
    let child = stand.child(&settings);
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    stand.redis.clock().step_back(HOUR);
    child.kill();
    let _other = stand.worker_with(settings, registry());
    stand.until_started(id, 2);
    stand.open_gate();
    stand.until(id, State::Completed);
}

#[test]
fn a_worker_whose_own_clock_is_an_hour_off_is_neither_early_nor_late() {
    let stand = Stand::start();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let clock = Clock::build(dir.path());
    clock.step_forward(HOUR);
    let worker = clock
        .environment()
        .into_iter()
        .fold(Worker::builder(&stand.redis.addr()), |worker, (name, value)| worker.env(name, value))
        .start();
    let due = Due::After(Duration::from_millis(1_500));
    let id = stand.store(QUEUE, "demo:delay_print", "{}", due, None);
    let job = stand.until(id, State::Completed);
    let (due, started) = (job.due_at.expect("due"), job.started_at.expect("started"));
    let late = started.as_millisecond() - due.as_millisecond();
    assert!((0..5_000).contains(&late), "{late} ms late");
    let log = worker.wait_for_stderr(|log| log.contains("behind this machine's"), DEADLINE);
    assert!(log.contains("3599 s") || log.contains("3600 s"), "{log}");
    clock.step_back(2 * HOUR);
    let again = stand.store(QUEUE, "demo:delay_print", "{}", Due::After(Duration::from_millis(300)), None);
    stand.until(again, State::Completed);
}

#[test]
fn child_worker() {
    support::child_worker();
}
