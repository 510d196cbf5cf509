//! Handlers that run too long, or hold what is not theirs.

mod support;

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State};
use atode_testkit::eventually;
use support::{
    Act, BlockingTask, Brief, DEADLINE, Deaf, Event, Stand, Task, registry, registry_without_jobs, settings,
};
use worker::Settings;

#[test]
fn an_async_handler_is_cancelled_at_its_timeout() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let heeding = stand.enqueue(Brief::KIND, Act::AwaitCancellation);
    let deaf = stand.enqueue(Brief::KIND, Act::Await);

    let job = stand.until(heeding, State::Dead);
    assert_eq!(job.attempts[0].cause, FailureCause::Timeout);
    let error = "timed out after 200ms; the handler then returned: cancelled";
    assert_eq!(job.last_error.as_deref(), Some(error));
    let ran = stand.until_event(heeding, Event::End).at - stand.starts(heeding)[0].at;
    assert!((200..1_500).contains(&ran), "{ran} ms");

    let job = stand.until(deaf, State::Dead);
    assert_eq!(job.last_error.as_deref(), Some("timed out after 200ms"));
    stand.until_event(deaf, Event::Dropped);
}

#[test]
fn a_blocking_handler_past_its_timeout_has_failed_but_keeps_its_slot_until_it_ends() {
    let stand = Stand::start();
    let _worker = stand.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let deaf = stand.enqueue(Deaf::KIND, Act::Block);
    stand.until_started(deaf, 1);
    let next = stand.enqueue(Task::KIND, Act::Succeed);

    let job = stand.until(deaf, State::Dead);
    assert_eq!(job.attempts[0].cause, FailureCause::Timeout);
    let error = job.last_error.expect("a reason");
    assert!(error.contains("it blocks its thread"), "{error}");
    assert_eq!(stand.job(next).state, Some(State::Ready));
    assert_eq!(stand.starts(next).len(), 0);

    stand.open_gate();
    stand.until(next, State::Completed);
    stand.until_event(deaf, Event::End);
    assert_eq!(stand.job(deaf).state, Some(State::Dead), "its late success changes nothing");
}

#[test]
fn handlers_that_block_every_thread_of_their_runtime_stop_nothing_else() {
    let stand = Stand::start();
    let threads = available_parallelism().expect("known").get();
    let settings = Settings { lease: Duration::from_millis(1_500), concurrency: threads + 3, ..settings() };
    let _worker = stand.worker_with(settings.clone(), registry());
    let _sweeper = stand.worker_with(settings.clone(), registry_without_jobs());
    stand.until_registered(2);

    let blocked: Vec<_> = (0..threads).map(|_| stand.enqueue(Task::KIND, Act::Block)).collect();
    let since = Instant::now();
    for id in &blocked {
        stand.until_started(*id, 1);
    }
    let unpolled = stand.enqueue(Brief::KIND, Act::Succeed);
    // Jobs on threads of their own go on, and are settled.
    stand.until(stand.enqueue(BlockingTask::KIND, Act::Succeed), State::Completed);
    // What gets no thread within its timeout is handed back for another worker, unspent.
    stand.until(unpolled, State::Active);
    let job = stand.until(unpolled, State::Scheduled);
    assert_eq!((job.attempt, job.attempts.len()), (0, 0));
    // Leases and registrations are renewed far beyond their first end.
    eventually("three leases pass", DEADLINE, || (since.elapsed() > 3 * settings.lease).then_some(()));
    stand.until_registered(2);

    stand.open_gate();
    for id in blocked {
        let job = stand.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(stand.starts(id).len(), 1);
    }
    let job = stand.until(unpolled, State::Completed);
    assert_eq!((job.attempt, job.attempts.len(), stand.starts(unpolled).len()), (1, 0, 1));
}
