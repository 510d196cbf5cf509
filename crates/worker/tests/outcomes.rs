//! What follows on each end of a run.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State};
use atode_testkit::eventually;
use support::{Act, DEADLINE, EarlyPanic, NOW, QUEUE, Stand, Task};

#[test]
fn a_failing_job_runs_again_after_its_backoff_until_no_retry_is_left() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.enqueue(Task::KIND, Act::Fail);
    let job = stand.until(id, State::Dead);

    assert_eq!((job.attempt, job.attempts.len()), (3, 3));
    assert_eq!(job.last_error.as_deref(), Some("failed: no luck"));
    assert!(job.attempts.iter().all(|attempt| attempt.cause == FailureCause::Error), "{:?}", job.attempts);
    assert!(job.finished_at.is_some());
    let starts = stand.starts(id);
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let waits: Vec<i64> = starts.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits[0] >= 100 && waits[1] >= 200, "its backoff is 100 ms, doubled: {waits:?}");
    assert!(starts.is_sorted_by(|one, next| one.token < next.token), "{starts:?}");
}

#[test]
fn the_requests_own_limit_of_retries_counts() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.store(QUEUE, Task::KIND, &stand.payload(Act::Fail), NOW, Some(0));
    assert_eq!(stand.until(id, State::Dead).attempts.len(), 1);
}

#[test]
fn a_permanent_error_buries_at_once() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.enqueue(Task::KIND, Act::FailForGood);
    let job = stand.until(id, State::Dead);
    assert_eq!((job.attempt, job.last_error.as_deref()), (1, Some("no use")));
    assert_eq!(job.attempts[0].cause, FailureCause::Permanent);
    assert_eq!(stand.starts(id).len(), 1);
}

#[test]
fn a_snooze_spends_no_attempt() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.enqueue(Task::KIND, Act::Snooze(300));
    let job = stand.until(id, State::Completed);
    assert_eq!((job.attempt, job.attempts.len()), (1, 0));
    let starts = stand.starts(id);
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [1, 1]);
    assert!(starts[1].at - starts[0].at >= 300, "{starts:?}");
    assert!(starts[1].token > starts[0].token);
}

#[test]
fn a_panic_is_a_failed_attempt_wherever_it_happens_and_the_worker_lives() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let early = stand.store(QUEUE, EarlyPanic::KIND, "{}", NOW, None);
    let payload = |act| stand.payload(act);
    for (act, text) in
        [(Act::Panic, "at the disco"), (Act::PanicInDrop, "in drop"), (Act::PanicInError, "in Display")]
    {
        let id = stand.store(QUEUE, Task::KIND, &payload(act), NOW, Some(1));
        let job = stand.until(id, State::Dead);
        assert_eq!(job.attempts.len(), 2);
        assert_eq!(job.attempts[1].cause, FailureCause::Panic);
        assert_eq!(job.last_error, Some(format!("the handler panicked: {text}")));
    }
    let job = stand.until(early, State::Dead);
    assert_eq!(job.last_error.as_deref(), Some("the handler panicked: too early"));
    stand.until(stand.enqueue(Task::KIND, Act::Succeed), State::Completed);
    // The registration tells what the last heartbeat saw.
    eventually("no slot is taken", DEADLINE, || (stand.until_registered(1)[0].active == 0).then_some(()));
}

#[test]
fn a_payload_that_does_not_parse_is_buried_with_its_reason_and_kept_byte_for_byte() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let payload = r#"{"dir": 9007199254740993,  "act": "succeed"}"#;
    let id = stand.store(QUEUE, Task::KIND, payload, NOW, None);
    let job = stand.until(id, State::Dead);
    assert_eq!(job.payload.get(), payload);
    assert_eq!((job.attempts.len(), job.attempts[0].cause), (1, FailureCause::Permanent));
    let error = job.last_error.expect("a reason");
    assert!(error.contains("/dir") && error.contains("expected a string"), "{error}");
}

#[test]
fn an_unknown_kind_is_never_taken_and_stays_visible() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.enqueue("test:from_the_future", Act::Succeed);
    // The worker looked at the queue after that, more than once.
    for _ in 0..5 {
        stand.until(stand.enqueue(Task::KIND, Act::Succeed), State::Completed);
    }
    let job = stand.job(id);
    assert_eq!((job.state, job.attempt, job.attempts.len()), (Some(State::Ready), 0, 0));
    stand.until_counts("it is counted", |counts| counts.ready == 1);
}

#[test]
fn a_completed_job_says_who_ran_it_and_when() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.enqueue_in(Duration::from_millis(200), Task::KIND, Act::Sleep(50));
    let job = stand.until(id, State::Completed);
    let registration = &stand.until_registered(1)[0];
    assert_eq!(job.worker.as_deref(), Some(&registration.worker));
    assert_eq!(job.attempt, 1);
    let (due, started, finished) = (job.due_at.unwrap(), job.started_at.unwrap(), job.finished_at.unwrap());
    assert!(due <= started && started < finished, "{due} {started} {finished}");
    assert!(job.enqueued_at.unwrap() < due);
}
