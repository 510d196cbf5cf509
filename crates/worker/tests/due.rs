//! When jobs start.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, State};
use atode_testkit::eventually;
use support::{Act, DEADLINE, Event, Fixture, Task, registry, settings};
use worker::Settings;

/// Limit of lateness in ms: far above what an idle machine needs, far below the safety poll of 5 s.
const LATE: i64 = 250;

/// How late a completed job started, in ms.
fn lateness(fixture: &Fixture, id: JobId) -> i64 {
    let due = fixture.until(id, State::Completed).due_at.expect("it was due").as_millisecond();
    let starts = fixture.starts(id);
    assert_eq!(starts.len(), 1, "{starts:?}");
    starts[0].at - due
}

#[test]
fn an_idle_worker_starts_jobs_at_their_due_times_and_never_before() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    fixture.until_registered(1);
    let delays = (1..=20).map(|n| Duration::from_millis(300 + 37 * n));
    let ids: Vec<JobId> = delays.map(|delay| fixture.enqueue_in(delay, Task::KIND, Act::Succeed)).collect();
    let mut late: Vec<i64> = ids.into_iter().map(|id| lateness(&fixture, id)).collect();
    late.sort_unstable();
    println!("lateness in ms: {late:?}");
    assert!(late[0] >= 0, "a job started {} ms early", -late[0]);
    assert!(late[late.len() - 1] < LATE, "{late:?}");
}

#[test]
fn a_job_that_is_due_at_once_wakes_a_sleeping_worker() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    lateness(&fixture, fixture.enqueue(Task::KIND, Act::Succeed));
    // The worker sleeps now: no job waits, or only one that is due much later.
    fixture.enqueue_in(Duration::from_secs(60), Task::KIND, Act::Succeed);
    for _ in 0..5 {
        let late = lateness(&fixture, fixture.enqueue(Task::KIND, Act::Succeed));
        println!("lateness in ms: {late}");
        assert!((0..LATE).contains(&late), "{late} ms late");
    }
}

#[test]
fn jobs_due_before_the_next_known_one_are_not_late() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    fixture.until_registered(1);
    let delays = [60_000, 1_500, 1_000, 500].map(Duration::from_millis);
    let ids = delays.map(|delay| fixture.enqueue_in(delay, Task::KIND, Act::Succeed));
    for id in &ids[1..] {
        let late = lateness(&fixture, *id);
        assert!((0..LATE).contains(&late), "{late} ms late");
    }
    assert_eq!(fixture.job(ids[0]).state, Some(State::Scheduled));
}

#[test]
fn with_all_slots_taken_waiting_jobs_run_in_order_of_their_due_times() {
    let fixture = Fixture::start();
    let _worker = fixture.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let first = fixture.enqueue(Task::KIND, Act::Await);
    fixture.until_started(first, 1);
    let waiting: Vec<JobId> = (0..20).map(|_| fixture.enqueue(Task::KIND, Act::Succeed)).collect();
    assert_eq!(fixture.ledger().len(), 1);
    fixture.open_gate();
    fixture.until_counts("all completed", |counts| counts.completed == 21);
    let order: Vec<JobId> =
        fixture.ledger().into_iter().filter(|e| e.event == Event::Start).skip(1).map(|e| e.id).collect();
    assert_eq!(order, waiting);
}

#[test]
fn a_job_with_a_due_time_in_the_past_runs_at_once() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id =
        fixture.store("default", Task::KIND, &fixture.payload(Act::Succeed), atode_queue::Due::At(1), None);
    eventually("it runs", DEADLINE, || fixture.job(id).is_finished().then_some(()));
}
