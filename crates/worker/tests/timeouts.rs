//! Handlers that run too long or block threads.

mod support;

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::{FailureCause, State};
use atode_testkit::eventually;
use support::{
    Act, BlockingTask, Brief, BriefBlocking, DEADLINE, Event, Fixture, Task, registry, registry_without_jobs,
    settings,
};
use worker::Settings;

#[test]
fn an_async_handler_is_cancelled_at_its_timeout() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let obedient = fixture.enqueue(Brief::KIND, Act::AwaitCancellation);
    let ignoring = fixture.enqueue(Brief::KIND, Act::Await);

    let job = fixture.until(obedient, State::Dead);
    assert_eq!(job.attempts[0].cause, FailureCause::Timeout);
    let error = "timed out after 200ms; the handler then returned: cancelled";
    assert_eq!(job.last_error.as_deref(), Some(error));
    let ran = fixture.until_event(obedient, Event::End).at - fixture.starts(obedient)[0].at;
    assert!((200..1_500).contains(&ran), "{ran} ms");

    let job = fixture.until(ignoring, State::Dead);
    assert_eq!(job.last_error.as_deref(), Some("timed out after 200ms"));
    fixture.until_event(ignoring, Event::Dropped);
}

#[test]
fn a_blocking_handler_past_its_timeout_fails_its_job_but_keeps_its_slot_until_it_ends() {
    let fixture = Fixture::start();
    let _worker = fixture.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let ignoring = fixture.enqueue(BriefBlocking::KIND, Act::Block);
    fixture.until_started(ignoring, 1);
    let next = fixture.enqueue(Task::KIND, Act::Succeed);

    let job = fixture.until(ignoring, State::Dead);
    assert_eq!(job.attempts[0].cause, FailureCause::Timeout);
    let error = job.last_error.expect("a reason");
    assert!(error.contains("it blocks its thread"), "{error}");
    assert_eq!(fixture.job(next).state, Some(State::Ready));
    assert_eq!(fixture.starts(next).len(), 0);

    fixture.open_gate();
    fixture.until(next, State::Completed);
    fixture.until_event(ignoring, Event::End);
    assert_eq!(fixture.job(ignoring).state, Some(State::Dead), "its late success changes nothing");
}

#[test]
fn handlers_that_block_every_runtime_thread_delay_nothing_else() {
    let fixture = Fixture::start();
    let threads = available_parallelism().expect("known").get();
    let settings = Settings { lease: Duration::from_millis(1_500), concurrency: threads + 3, ..settings() };
    let _worker = fixture.worker_with(settings.clone(), registry());
    let _sweeper = fixture.worker_with(settings.clone(), registry_without_jobs());
    fixture.until_registered(2);

    let blocked: Vec<_> = (0..threads).map(|_| fixture.enqueue(Task::KIND, Act::Block)).collect();
    let since = Instant::now();
    for id in &blocked {
        fixture.until_started(*id, 1);
    }
    let unpolled = fixture.enqueue(Brief::KIND, Act::Succeed);
    // Blocking jobs have their own threads: they run and are settled.
    fixture.until(fixture.enqueue(BlockingTask::KIND, Act::Succeed), State::Completed);
    // A job that gets no thread within its timeout is released for another worker. No attempt is spent.
    fixture.until(unpolled, State::Active);
    let job = fixture.until(unpolled, State::Scheduled);
    assert_eq!((job.attempt, job.attempts.len()), (0, 0));
    // Leases and registrations are renewed several times.
    eventually("three leases pass", DEADLINE, || (since.elapsed() > 3 * settings.lease).then_some(()));
    fixture.until_registered(2);

    fixture.open_gate();
    for id in blocked {
        let job = fixture.until(id, State::Completed);
        assert_eq!(job.attempts.len(), 0, "{:?}", job.attempts);
        assert_eq!(fixture.starts(id).len(), 1);
    }
    let job = fixture.until(unpolled, State::Completed);
    assert_eq!((job.attempt, job.attempts.len(), fixture.starts(unpolled).len()), (1, 0, 1));
}
