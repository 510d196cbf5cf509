//! What is asked of workers from outside: to cancel a job that they run, to go quiet, to stop.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, JobView, Operated, Operation, State, WorkerRequest, WorkerState};
use atode_testkit::{Worker, eventually};
use support::{
    Act, BlockingTask, DEADLINE, Event, QUEUE, Stand, Task, registry, registry_without_jobs, settings,
};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

impl Stand {
    fn ask_to_cancel(&self, kind: &str, id: JobId) {
        let operated = self.wait(self.client.operate(QUEUE, kind, id, Operation::Cancel));
        assert_eq!(operated.expect("answered"), Operated::Requested);
    }

    /// A job that is cancelled while it runs remembers its run.
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
    let stand = Stand::start();
    // A heartbeat each sixth of it: only the hint can be in time.
    let _worker = stand.worker_with(Settings { lease: Duration::from_secs(600), ..settings() }, registry());
    let heeding = stand.enqueue(Task::KIND, Act::AwaitCancellation);
    let deaf = stand.enqueue(Task::KIND, Act::Await);
    for id in [heeding, deaf] {
        stand.until_started(id, 1);
        stand.ask_to_cancel(Task::KIND, id);
    }

    let job = stand.until(heeding, State::Cancelled);
    stand.until_event(heeding, Event::End);
    assert_eq!((job.last_error.as_deref(), job.attempts.len()), (Some("cancelled"), 1));
    stand.check_runner(&job);
    let job = stand.until(deaf, State::Cancelled);
    stand.until_event(deaf, Event::Dropped);
    assert_eq!((&job.last_error, job.attempts.len(), job.cancel_requested), (&None, 0, false));
    stand.check_runner(&job);
    stand.until_counts("both are cancelled", |counts| counts.cancelled == 2 && counts.active == 0);
}

#[test]
fn a_blocking_handler_that_takes_no_notice_is_cancelled_all_the_same_and_keeps_its_slot() {
    let stand = Stand::start();
    let _worker = stand.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let id = stand.enqueue(BlockingTask::KIND, Act::Block);
    stand.until_started(id, 1);
    stand.ask_to_cancel(BlockingTask::KIND, id);
    stand.check_runner(&stand.until(id, State::Cancelled));
    let next = stand.enqueue(Task::KIND, Act::Succeed);
    assert_eq!(stand.starts(next).len(), 0);

    stand.open_gate();
    stand.until(next, State::Completed);
    assert_eq!(stand.job(id).state, Some(State::Cancelled), "its late success changes nothing");
}

#[test]
fn a_job_that_succeeds_before_it_hears_of_its_cancellation_is_completed() {
    let stand = Stand::start();
    let child = stand.child(&settings());
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    child.pause();
    stand.ask_to_cancel(Task::KIND, id);
    stand.open_gate();
    assert!(stand.job(id).cancel_requested);
    child.resume();
    // Either the gate or the request is seen first; in no case does it run again.
    let job = eventually("it ends", DEADLINE, || {
        let ends = [Some(State::Completed), Some(State::Cancelled)];
        Some(stand.job(id)).filter(|job| ends.contains(&job.state))
    });
    assert_eq!((job.attempts.len(), stand.starts(id).len()), (0, 1));
}

#[test]
fn a_job_whose_worker_dies_after_it_was_asked_to_cancel_does_not_run_again() {
    let stand = Stand::start();
    let settings = Settings { lease: Duration::from_secs(2), ..settings() };
    let child = stand.child(&settings);
    let id = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(id, 1);
    let _sweeper = stand.worker_with(settings, registry_without_jobs());
    child.pause();
    stand.ask_to_cancel(Task::KIND, id);
    child.kill();
    stand.check_runner(&stand.until(id, State::Cancelled));
    assert_eq!(stand.starts(id).len(), 1);
}

#[test]
fn a_quiet_worker_ends_what_it_runs_and_takes_nothing_more() {
    let stand = Stand::start();
    let _quiet = stand.worker();
    let running = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(running, 1);
    let worker = stand.until_registered(1).remove(0).worker.id;
    assert!(stand.wait(stand.client.ask_worker(worker, WorkerRequest::Quiet)).expect("asked"));
    eventually("it is quiet", DEADLINE, || {
        (stand.until_registered(1)[0].state == WorkerState::Quiet).then_some(())
    });

    let waiting = stand.enqueue(Task::KIND, Act::Succeed);
    stand.open_gate();
    stand.until(running, State::Completed);
    assert_eq!(stand.job(waiting).state, Some(State::Ready));
    let other = stand.worker();
    stand.until(waiting, State::Completed);
    assert_ne!(stand.starts(waiting)[0].worker, worker);
    other.stop();
    assert_eq!(stand.until_registered(1)[0].worker.id, worker, "it lives on");
}

#[test]
fn a_worker_that_is_told_to_stop_exits_as_after_sigterm() {
    let stand = Stand::start();
    let worker = Worker::start(&stand.redis);
    let id = stand.until_registered(1).remove(0).worker.id;
    assert!(stand.wait(stand.client.ask_worker(id, WorkerRequest::Stop)).expect("asked"));
    assert!(worker.wait(DEADLINE).success());
    assert!(worker.stderr().contains("asked to stop from afar"), "{}", worker.stderr());
    stand.until_registered(0);
    assert!(!stand.wait(stand.client.ask_worker(id, WorkerRequest::Stop)).expect("answered"), "it is gone");
}
