//! When jobs start.

mod support;

use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, State};
use atode_testkit::eventually;
use support::{Act, DEADLINE, Event, Stand, Task, registry, settings};
use worker::Settings;

/// Far more than an idle machine needs, far less than the safety poll of 5 s.
const LATE: i64 = 250;

/// How late a completed job started, in ms.
fn lateness(stand: &Stand, id: JobId) -> i64 {
    let due = stand.until(id, State::Completed).due_at.expect("it was due").as_millisecond();
    let starts = stand.starts(id);
    assert_eq!(starts.len(), 1, "{starts:?}");
    starts[0].at - due
}

#[test]
fn an_idle_worker_starts_jobs_at_their_due_times_and_never_before() {
    let stand = Stand::start();
    let _worker = stand.worker();
    stand.until_registered(1);
    let delays = (1..=20).map(|n| Duration::from_millis(300 + 37 * n));
    let ids: Vec<JobId> = delays.map(|delay| stand.enqueue_in(delay, Task::KIND, Act::Succeed)).collect();
    let mut late: Vec<i64> = ids.into_iter().map(|id| lateness(&stand, id)).collect();
    late.sort_unstable();
    println!("lateness in ms: {late:?}");
    assert!(late[0] >= 0, "a job started {} ms early", -late[0]);
    assert!(late[late.len() - 1] < LATE, "{late:?}");
}

#[test]
fn a_job_that_is_due_at_once_wakes_a_sleeping_worker() {
    let stand = Stand::start();
    let _worker = stand.worker();
    lateness(&stand, stand.enqueue(Task::KIND, Act::Succeed));
    // It sleeps now: nothing waits, or something far away.
    stand.enqueue_in(Duration::from_secs(60), Task::KIND, Act::Succeed);
    for _ in 0..5 {
        let late = lateness(&stand, stand.enqueue(Task::KIND, Act::Succeed));
        println!("lateness in ms: {late}");
        assert!((0..LATE).contains(&late), "{late} ms late");
    }
}

#[test]
fn jobs_due_earlier_than_the_next_one_known_are_not_late() {
    let stand = Stand::start();
    let _worker = stand.worker();
    stand.until_registered(1);
    let delays = [60_000, 1_500, 1_000, 500].map(Duration::from_millis);
    let ids = delays.map(|delay| stand.enqueue_in(delay, Task::KIND, Act::Succeed));
    for id in &ids[1..] {
        let late = lateness(&stand, *id);
        assert!((0..LATE).contains(&late), "{late} ms late");
    }
    assert_eq!(stand.job(ids[0]).state, Some(State::Scheduled));
}

#[test]
fn with_all_slots_taken_jobs_run_in_order_of_their_due_times_as_slots_become_free() {
    let stand = Stand::start();
    let _worker = stand.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    let first = stand.enqueue(Task::KIND, Act::Await);
    stand.until_started(first, 1);
    let waiting: Vec<JobId> = (0..20).map(|_| stand.enqueue(Task::KIND, Act::Succeed)).collect();
    assert_eq!(stand.ledger().len(), 1);
    stand.open_gate();
    stand.until_counts("all completed", |counts| counts.completed == 21);
    let order: Vec<JobId> =
        stand.ledger().into_iter().filter(|e| e.event == Event::Start).skip(1).map(|e| e.id).collect();
    assert_eq!(order, waiting);
}

#[test]
fn a_due_time_in_the_past_is_now() {
    let stand = Stand::start();
    let _worker = stand.worker();
    let id = stand.store("default", Task::KIND, &stand.payload(Act::Succeed), atode_queue::Due::At(1), None);
    eventually("it runs", DEADLINE, || stand.job(id).is_finished().then_some(()));
}
