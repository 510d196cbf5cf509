//! Outcomes of runs: retry, dead, snooze, panic, completed.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State};
use atode_testkit::eventually;
use support::{Act, DEADLINE, EarlyPanic, Fixture, NOW, QUEUE, Task};

#[test]
fn a_failing_job_runs_again_after_its_backoff_until_no_retry_is_left() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.enqueue(Task::KIND, Act::Fail);
    let job = fixture.until(id, State::Dead);

    assert_eq!((job.attempt, job.attempts.len()), (3, 3));
    assert_eq!(job.last_error.as_deref(), Some("failed: no luck"));
    assert!(job.attempts.iter().all(|attempt| attempt.cause == FailureCause::Error), "{:?}", job.attempts);
    assert!(job.finished_at.is_some());
    let starts = fixture.starts(id);
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let waits: Vec<i64> = starts.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits[0] >= 100 && waits[1] >= 200, "its backoff is 100 ms, doubled: {waits:?}");
    assert!(starts.is_sorted_by(|one, next| one.token < next.token), "{starts:?}");
}

#[test]
fn max_retries_of_the_request_overrides_the_kind() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.store(QUEUE, Task::KIND, &fixture.payload(Act::Fail), NOW, Some(0));
    assert_eq!(fixture.until(id, State::Dead).attempts.len(), 1);
}

#[test]
fn a_permanent_error_buries_the_job_at_once() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.enqueue(Task::KIND, Act::FailForGood);
    let job = fixture.until(id, State::Dead);
    assert_eq!((job.attempt, job.last_error.as_deref()), (1, Some("no use")));
    assert_eq!(job.attempts[0].cause, FailureCause::Permanent);
    assert_eq!(fixture.starts(id).len(), 1);
}

#[test]
fn a_snooze_spends_no_attempt() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.enqueue(Task::KIND, Act::Snooze(300));
    let job = fixture.until(id, State::Completed);
    assert_eq!((job.attempt, job.attempts.len()), (1, 0));
    let starts = fixture.starts(id);
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 1]);
    assert!(starts[1].at - starts[0].at >= 300, "{starts:?}");
    assert!(starts[1].token > starts[0].token);
}

#[test]
fn a_panic_anywhere_in_a_handler_is_a_failed_attempt_and_the_worker_survives() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let early = fixture.store(QUEUE, EarlyPanic::KIND, "{}", NOW, None);
    let payload = |act| fixture.payload(act);
    for (act, text) in
        [(Act::Panic, "at the disco"), (Act::PanicInDrop, "in drop"), (Act::PanicInError, "in Display")]
    {
        let id = fixture.store(QUEUE, Task::KIND, &payload(act), NOW, Some(1));
        let job = fixture.until(id, State::Dead);
        assert_eq!(job.attempts.len(), 2);
        assert_eq!(job.attempts[1].cause, FailureCause::Panic);
        assert_eq!(job.last_error, Some(format!("the handler panicked: {text}")));
    }
    let job = fixture.until(early, State::Dead);
    assert_eq!(job.last_error.as_deref(), Some("the handler panicked: too early"));
    fixture.until(fixture.enqueue(Task::KIND, Act::Succeed), State::Completed);
    // The registration shows the state at the last heartbeat.
    eventually("no slot is taken", DEADLINE, || (fixture.until_registered(1)[0].active == 0).then_some(()));
}

#[test]
fn a_job_with_an_invalid_payload_is_buried_and_its_payload_kept_byte_for_byte() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let payload = r#"{"dir": 9007199254740993,  "act": "succeed"}"#;
    let id = fixture.store(QUEUE, Task::KIND, payload, NOW, None);
    let job = fixture.until(id, State::Dead);
    assert_eq!(job.payload.get(), payload);
    assert_eq!((job.attempts.len(), job.attempts[0].cause), (1, FailureCause::Permanent));
    let error = job.last_error.expect("a reason");
    assert!(error.contains("/dir") && error.contains("expected a string"), "{error}");
}

#[test]
fn a_job_of_an_unknown_kind_is_never_claimed_and_stays_visible() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.enqueue("test:from_the_future", Act::Succeed);
    // The worker claims from the queue several times after that.
    for _ in 0..5 {
        fixture.until(fixture.enqueue(Task::KIND, Act::Succeed), State::Completed);
    }
    let job = fixture.job(id);
    assert_eq!((job.state, job.attempt, job.attempts.len()), (Some(State::Ready), 0, 0));
    fixture.until_counts("it is counted", |counts| counts.ready == 1);
}

#[test]
fn a_completed_job_shows_its_worker_and_its_times() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = fixture.enqueue_in(Duration::from_millis(200), Task::KIND, Act::Sleep(50));
    let job = fixture.until(id, State::Completed);
    let registration = &fixture.until_registered(1)[0];
    assert_eq!(job.worker.as_deref(), Some(&registration.worker));
    assert_eq!(job.attempt, 1);
    let (due, started, finished) = (job.due_at.unwrap(), job.started_at.unwrap(), job.finished_at.unwrap());
    assert!(due <= started && started < finished, "{due} {started} {finished}");
    assert!(job.enqueued_at.unwrap() < due);
}
