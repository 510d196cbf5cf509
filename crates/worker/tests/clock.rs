//! Redis' clock jumps: jobs are early or late, none is lost, and none is repeated for it.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, State};
use atode_testkit::{RedisServer, eventually};
use support::{Act, DEADLINE, Stand, Task, registry, settings};
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
fn child_worker() {
    support::child_worker();
}
