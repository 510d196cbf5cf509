//! What is claimed ahead of free slots.

mod support;

use std::collections::HashSet;

use atode_jobs::Job as _;
use support::{Act, Event, Stand, Task, registry, settings};
use worker::Settings;

#[test]
fn what_was_claimed_ahead_is_handed_back_unspent_where_the_slots_stay_taken() {
    let stand = Stand::start();
    // The quick ones have the worker claim ahead of its slots; then these stay taken.
    let quick = stand.enqueue_many(3_000, Task::KIND, Act::Succeed);
    let long = stand.enqueue_many(200, Task::KIND, Act::Await);
    let due: Vec<_> = long.iter().map(|id| stand.job(*id).due_at).collect();
    let _worker = stand.worker_with(Settings { concurrency: 4, ..settings() }, registry());
    stand.until_counts("four run, all others are back", |counts| {
        counts.completed == quick.len() as u64 && counts.active == 4 && counts.ready == long.len() as u64 - 4
    });
    let started = |ids: &[_]| {
        stand.ledger().iter().filter(|entry| entry.event == Event::Start && ids.contains(&entry.id)).count()
    };
    assert_eq!(started(&long), 4);
    for (id, due) in long.iter().zip(due).filter(|(id, _)| stand.starts(**id).is_empty()) {
        assert_eq!(stand.job(*id).due_at, due, "{id} keeps its place in the order of due times");
    }

    stand.open_gate();
    let all = quick.len() + long.len();
    stand.until_counts("all are completed", |counts| counts.completed == all as u64);
    let starts: Vec<_> = stand.ledger().into_iter().filter(|entry| entry.event == Event::Start).collect();
    assert_eq!((starts.len(), starts.iter().map(|entry| entry.id).collect::<HashSet<_>>().len()), (all, all));
    for id in long {
        let job = stand.job(id);
        assert_eq!((job.attempt, job.attempts.len()), (1, 0), "{id}");
    }
}
