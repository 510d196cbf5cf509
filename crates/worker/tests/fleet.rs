//! Several workers, queues and kinds at the same time.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{JobId, Registration, State, WorkerId, WorkerRef, WorkerState};
use atode_testkit::{Worker, eventually};
use jiff::Timestamp;
use support::{Act, DEADLINE, Event, Fixture, Other, Task, registry, settings};
use worker::Settings;

#[test]
fn two_workers_share_the_jobs_and_run_each_exactly_once() {
    let fixture = Fixture::start();
    let _workers = [fixture.worker(), fixture.worker()];
    let live = fixture.until_registered(2);
    let ids = fixture.enqueue_many(500, Task::KIND, Act::Sleep(5));
    fixture.until_counts("all completed", |counts| counts.completed == 500);

    let starts: Vec<_> = fixture.ledger().into_iter().filter(|entry| entry.event == Event::Start).collect();
    assert_eq!(starts.len(), 500);
    let started: BTreeSet<JobId> = starts.iter().map(|entry| entry.id).collect();
    assert_eq!(started, ids.into_iter().collect());
    let by: BTreeSet<_> = starts.iter().map(|entry| entry.worker).collect();
    assert_eq!(by, live.iter().map(|worker| worker.worker.id).collect());
}

#[test]
fn a_registration_names_the_worker_its_address_its_kinds_and_its_queues() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let registration = fixture.until_registered(1).remove(0);
    assert_eq!((registration.worker.pid, &*registration.worker.build), (std::process::id(), "test"));
    assert!(!registration.worker.host.is_empty());
    assert!(registration.kinds.iter().any(|kind| kind == Task::KIND));
    assert_eq!(registration.queues, BTreeMap::from([("default".to_owned(), 1)]));
    assert_eq!((registration.slots, registration.active), (8, 0));
    assert_eq!(registration.state, WorkerState::Running);
    assert!(registration.http.starts_with("http://127.0.0.1:"), "{}", registration.http);
}

#[test]
fn a_starting_worker_logs_the_other_workers_of_its_queues() {
    let fixture = Fixture::start();
    let first = Worker::start(&fixture.redis);
    fixture.until_registered(1);
    let elsewhere = register(&fixture, "elsewhere", "0.0.9+old");
    let second = Worker::start(&fixture.redis);
    let log = second.wait_for_stderr(|log| log.contains(&format!("pid={}", first.pid())), DEADLINE);
    let line = log.lines().find(|line| line.contains(&format!("pid={}", first.pid()))).expect("just found");
    assert!(line.contains("INFO") && line.contains("another worker serves these queues"), "{line}");
    assert!(!second.stderr().contains(&elsewhere.to_string()));
}

#[test]
fn another_worker_of_a_different_build_is_logged_as_a_warning() {
    let fixture = Fixture::start();
    let old = register(&fixture, "default", "0.0.9+old");
    let worker = Worker::start(&fixture.redis);
    let log = worker.wait_for_stderr(|log| log.contains("of a different build"), DEADLINE);
    let line = log.lines().find(|line| line.contains("of a different build")).expect("just found");
    for part in ["WARN", &old.to_string(), "pid=4242", "host=old-host", "0.0.9+old"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

/// Registers a worker that does not exist.
fn register(fixture: &Fixture, queue: &str, build: &str) -> WorkerId {
    let id = WorkerId::new(fixture.client.now());
    let worker = WorkerRef { id, host: "old-host".to_owned(), pid: 4242, build: build.to_owned() };
    let registration = Registration {
        worker,
        kinds: vec!["demo:delay_print".to_owned()],
        queues: [(queue.to_owned(), 1)].into(),
        slots: 1,
        active: 0,
        state: WorkerState::Running,
        started_at: Timestamp::now(),
        seen_at: Timestamp::now(),
        http: "http://127.0.0.1:9".to_owned(),
    };
    fixture.wait(fixture.client.heartbeat(&registration, DEADLINE)).expect("registered");
    id
}

#[test]
fn every_queue_is_served_and_heavy_queues_get_more() {
    let fixture = Fixture::start();
    let weights = [("light", 1), ("middle", 2), ("heavy", 4)];
    for (queue, _) in weights {
        for _ in 0..60 {
            fixture.enqueue_to(queue, Task::KIND, Act::Succeed);
        }
    }
    let queues = weights.iter().map(|(queue, weight)| ((*queue).to_owned(), *weight)).collect();
    let _worker =
        fixture.worker_with(Settings { concurrency: 1, queues: Some(queues), ..settings() }, registry());
    let starts = eventually("all ran", DEADLINE, || {
        let ledger = fixture.ledger().into_iter().filter(|entry| entry.event == Event::Start);
        Some(ledger.collect::<Vec<_>>()).filter(|starts| starts.len() == 180)
    });
    let order: Vec<&str> = starts
        .iter()
        .map(|entry| weights.iter().find(|(queue, _)| has(&fixture, queue, entry.id)).expect("a queue").0)
        .collect();
    let last = |queue| order.iter().rposition(|of| *of == queue).expect("it ran");
    let first = |queue| order.iter().position(|of| *of == queue).expect("it ran");
    assert!(last("heavy") < last("light"), "{order:?}");
    assert!(first("light") < last("heavy"), "the light queue is not starved: {order:?}");
    assert!(first("middle") < last("heavy"), "{order:?}");
}

fn has(fixture: &Fixture, queue: &str, id: JobId) -> bool {
    fixture.wait(fixture.client.job(&[queue.into()], id)).expect("looked").is_some()
}

#[test]
fn no_kind_starves_another() {
    let fixture = Fixture::start();
    let many = fixture.enqueue_many(200, Task::KIND, Act::Succeed);
    let few = fixture.enqueue_many(3, Other::KIND, Act::Succeed);
    let _worker = fixture.worker_with(Settings { concurrency: 1, ..settings() }, registry());
    fixture.until_counts("all completed", |counts| counts.completed == 203);
    let starts: Vec<JobId> =
        fixture.ledger().into_iter().filter(|e| e.event == Event::Start).map(|e| e.id).collect();
    let place = |id: &JobId| starts.iter().position(|started| started == id).expect("it ran");
    let last_of_few = few.iter().map(place).max().expect("three");
    let last_of_many = many.iter().map(place).max().expect("many");
    assert!(last_of_few < last_of_many, "{last_of_few} {last_of_many}");
}

#[test]
fn no_job_of_a_paused_queue_starts() {
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    fixture.until_registered(1);
    fixture.redis.command(&["SET", "atode:{default}:paused", "1"]);
    let id = fixture.enqueue(Task::KIND, Act::Succeed);
    std::thread::sleep(Duration::from_millis(300)); // no job may start
    assert_eq!(fixture.job(id).state, Some(State::Ready));
    fixture.redis.command(&["DEL", "atode:{default}:paused"]);
    fixture.redis.command(&["PUBLISH", "atode:{default}:wake", "0"]);
    fixture.until(id, State::Completed);
}
