//! Jobs that are claimed ahead of free slots.

mod support;

use std::collections::HashSet;

use atode_jobs::Job as _;
use support::{Act, Event, Fixture, Task, registry, settings};
use worker::Settings;

#[test]
fn jobs_claimed_ahead_are_handed_back_if_no_slot_becomes_free() {
    let fixture = Fixture::start();
    // The quick jobs make the worker claim ahead of its slots. Then the long jobs keep the slots.
    let quick = fixture.enqueue_many(3_000, Task::KIND, Act::Succeed);
    let long = fixture.enqueue_many(200, Task::KIND, Act::Await);
    let due: Vec<_> = long.iter().map(|id| fixture.job(*id).due_at).collect();
    let _worker = fixture.worker_with(Settings { concurrency: 4, ..settings() }, registry());
    fixture.until_counts("four run, all others are back", |counts| {
        counts.completed == quick.len() as u64 && counts.active == 4 && counts.ready == long.len() as u64 - 4
    });
    let started = |ids: &[_]| {
        fixture.ledger().iter().filter(|entry| entry.event == Event::Start && ids.contains(&entry.id)).count()
    };
    assert_eq!(started(&long), 4);
    for (id, due) in long.iter().zip(due).filter(|(id, _)| fixture.starts(**id).is_empty()) {
        assert_eq!(fixture.job(*id).due_at, due, "{id} keeps its place in the order of due times");
    }

    fixture.open_gate();
    let all = quick.len() + long.len();
    fixture.until_counts("all are completed", |counts| counts.completed == all as u64);
    let starts: Vec<_> = fixture.ledger().into_iter().filter(|entry| entry.event == Event::Start).collect();
    assert_eq!((starts.len(), starts.iter().map(|entry| entry.id).collect::<HashSet<_>>().len()), (all, all));
    for id in long {
        let job = fixture.job(id);
        assert_eq!((job.attempt, job.attempts.len()), (1, 0), "{id}");
    }
}
