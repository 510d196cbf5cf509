//! Requests to workers: cancel a running job, go quiet, stop.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, JobView, Operated, Operation, State, WorkerRequest, WorkerState};
use atode_testkit::{Worker, eventually};
use support::{
    Act, BlockingTask, DEADLINE, Event, Fixture, QUEUE, Task, registry, registry_without_jobs, settings,
};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

impl Fixture {
    fn request_cancel(&self, kind: &str, id: JobId) {
        let operated = self.wait(self.client.operate(QUEUE, kind, id, Operation::Cancel));
        assert_eq!(operated.expect("answered"), Operated::Requested);
    }

    /// Checks that a job cancelled while it ran still shows that run.
    #[track_caller]
    fn check_runner(&self, job: &JobView) {
        let start = &self.starts(job.id)[0];
        let worker = job.worker.as_ref().expect("its worker");
        assert_eq!((job.attempt, worker.id, worker.pid), (start.attempt, start.worker, start.pid));
        assert!(job.started_at.is_some() && job.finished_at.is_some(), "{job:?}");
    }
}

#[test]
fn a_running_job_is_cancelled_long_before_the_next_heartbeat() {
    let fixture = Fixture::start();
    // Heartbeats are a sixth of the lease apart, so only the published hint can be in time.
    let _worker = fixture.worker_with(Settings { lease: Duration::from_secs(600), ..settings() }, registry());
    let obedient = fixture.enqueue(Task::KIND, Act::AwaitCancellation);
    let ignoring = fixture.enqueue(Task::KIND, Act::Await);
    for id in [obedient, ignoring] {
        fixture.until_started(id, 1);
        fixture.request_cancel(Task::KIND, id);
    }

    let job = fixture.until(obedient, State::Cancelled);
    fixture.until_event(obedient, Event::End);
    assert_eq!((job.last_error.as_deref(), job.attempts.len()), (Some("cancelled"), 1));
    fixture.check_runner(&job);
    let job = fixture.until(ignoring, State::Cancelled);
    fixture.until_event(ignoring, Event::Dropped);
    assert_eq!((&job.last_error, job.attempts.len(), job.cancel_requested), (&None, 0, false));
    fixture.check_runner(&job);
    fixture.until_counts("both are cancelled", |counts| counts.cancelled == 2 && counts.active == 0);
}

#[test]
fn the_job_of_a_blocking_handler_that_ignores_its_cancellation_is_cancelled_and_keeps_its_slot() {
    let fixture = Fixture::start();
    let _worker = fixture.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let id = fixture.enqueue(BlockingTask::KIND, Act::Block);
    fixture.until_started(id, 1);
    fixture.request_cancel(BlockingTask::KIND, id);
    fixture.check_runner(&fixture.until(id, State::Cancelled));
    let next = fixture.enqueue(Task::KIND, Act::Succeed);
    assert_eq!(fixture.starts(next).len(), 0);

    fixture.open_gate();
    fixture.until(next, State::Completed);
    assert_eq!(fixture.job(id).state, Some(State::Cancelled), "its late success changes nothing");
}

#[test]
fn a_job_that_ends_before_its_cancellation_arrives_does_not_run_again() {
    let fixture = Fixture::start();
    let child = fixture.child(&settings());
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    child.pause();
    fixture.request_cancel(Task::KIND, id);
    fixture.open_gate();
    assert!(fixture.job(id).cancel_requested);
    child.resume();
    // The handler sees either the gate or the cancellation first. In both cases the job runs only once.
    let job = eventually("it ends", DEADLINE, || {
        let ends = [Some(State::Completed), Some(State::Cancelled)];
        Some(fixture.job(id)).filter(|job| ends.contains(&job.state))
    });
    assert_eq!((job.attempts.len(), fixture.starts(id).len()), (0, 1));
}

#[test]
fn a_job_whose_worker_dies_after_a_cancel_request_does_not_run_again() {
    let fixture = Fixture::start();
    let settings = Settings { lease: Duration::from_secs(2), ..settings() };
    let child = fixture.child(&settings);
    let id = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(id, 1);
    let _sweeper = fixture.worker_with(settings, registry_without_jobs());
    child.pause();
    fixture.request_cancel(Task::KIND, id);
    child.kill();
    fixture.check_runner(&fixture.until(id, State::Cancelled));
    assert_eq!(fixture.starts(id).len(), 1);
}

#[test]
fn a_quiet_worker_finishes_its_jobs_and_claims_no_more() {
    let fixture = Fixture::start();
    let _quiet = fixture.worker();
    let running = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(running, 1);
    let worker = fixture.until_registered(1).remove(0).worker.id;
    assert!(fixture.wait(fixture.client.ask_worker(worker, WorkerRequest::Quiet)).expect("asked"));
    eventually("it is quiet", DEADLINE, || {
        (fixture.until_registered(1)[0].state == WorkerState::Quiet).then_some(())
    });

    let waiting = fixture.enqueue(Task::KIND, Act::Succeed);
    fixture.open_gate();
    fixture.until(running, State::Completed);
    assert_eq!(fixture.job(waiting).state, Some(State::Ready));
    let other = fixture.worker();
    fixture.until(waiting, State::Completed);
    assert_ne!(fixture.starts(waiting)[0].worker, worker);
    other.stop();
    assert_eq!(fixture.until_registered(1)[0].worker.id, worker, "the quiet worker is still alive");
}

#[test]
fn a_worker_that_receives_a_stop_request_exits_as_after_sigterm() {
    let fixture = Fixture::start();
    let worker = Worker::start(&fixture.redis);
    let id = fixture.until_registered(1).remove(0).worker.id;
    assert!(fixture.wait(fixture.client.ask_worker(id, WorkerRequest::Stop)).expect("asked"));
    assert!(worker.wait(DEADLINE).success());
    assert!(worker.stderr().contains("received a stop request"), "{}", worker.stderr());
    fixture.until_registered(0);
    assert!(
        !fixture.wait(fixture.client.ask_worker(id, WorkerRequest::Stop)).expect("answered"),
        "the worker is gone"
    );
}
