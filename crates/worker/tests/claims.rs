//! Claims over a slow or lossy network, beside broken queues, and among many workers.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::State;
use atode_testkit::{Proxy, eventually};
use support::{Act, Child, DEADLINE, Event, Fixture, Task, registry, settings};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

#[test]
fn large_jobs_run_over_a_slow_network() {
    let fixture = Fixture::start();
    let network = Proxy::start(fixture.redis.port());
    network.throttle(12_500_000); // 100 Mbit/s
    fixture.enqueue_large(64, 250_000, Task::KIND, Act::Succeed);
    let start = Instant::now();
    let _worker = Fixture::worker_at(network.port(), Settings { concurrency: 64, ..settings() }, registry());
    fixture.until_counts("all completed", |counts| counts.completed == 64);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn answers_shrink_on_a_network_too_slow_for_a_full_one() {
    let fixture = Fixture::start();
    let network = Proxy::start(fixture.redis.port());
    fixture.enqueue_large(32, 50_000, Task::KIND, Act::Succeed);
    network.throttle(400_000); // an answer of 1 MiB would take 2.6 s, the command timeout is 0.8 s
    let _worker = Fixture::worker_at(network.port(), Settings { concurrency: 64, ..settings() }, registry());
    fixture.until_counts("all completed before a lease expired", |counts| counts.completed == 32);
    let starts = fixture.ledger().iter().filter(|entry| entry.event == Event::Start).count();
    assert_eq!(starts, 32, "jobs of the lost answers have not run twice");
}

#[test]
fn jobs_of_a_claim_whose_answer_was_lost_run_within_seconds() {
    let fixture = Fixture::start();
    let network = Proxy::start(fixture.redis.port());
    let _worker = Fixture::worker_at(network.port(), Settings { concurrency: 64, ..settings() }, registry());
    fixture.until_registered(1);
    // Redis carries out the paused claim after the pause, when the worker has given it up.
    fixture.redis.command(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    let start = Instant::now();
    let ids: Vec<_> = eventually("stored after the pause", DEADLINE, || {
        let stored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fixture.enqueue_many(40, Task::KIND, Act::Succeed)
        }));
        stored.ok()
    });
    for id in &ids {
        fixture.until(*id, State::Completed);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "it took as long as a lease: {:?}", start.elapsed());

    // This time only the answer is lost.
    network.drop_reply_to("\"pid\":");
    let start = Instant::now();
    let ids = fixture.enqueue_many(40, Task::KIND, Act::Succeed);
    for id in &ids {
        let job = fixture.until(*id, State::Completed);
        assert_eq!((job.attempt, job.attempts.len()), (1, 0), "handed back unspent");
    }
    assert!(network.has_dropped(), "no reply was dropped");
    assert!(start.elapsed() < Duration::from_secs(15), "it took as long as a lease: {:?}", start.elapsed());
}

#[test]
fn a_broken_queue_does_not_slow_another() {
    let fixture = Fixture::start();
    let queues = Some([("broken".to_owned(), 1), (support::QUEUE.to_owned(), 1)].into());
    fixture.redis.command(&["LPUSH", "atode:{broken}:fence", "x"]);
    let _worker = fixture.worker_with(Settings { queues, ..settings() }, registry());
    fixture.until_registered(1);
    let mut lateness: Vec<i64> = (0..20)
        .map(|_| {
            let id = fixture.enqueue_in(Duration::from_millis(50), Task::KIND, Act::Succeed);
            let job = fixture.until(id, State::Completed);
            let ms = |at: Option<jiff::Timestamp>| at.expect("it ran").as_millisecond();
            ms(job.started_at) - ms(job.due_at)
        })
        .collect();
    lateness.sort_unstable();
    assert!(lateness[10] <= 50, "a backoff shared by all queues would take 492 ms: {lateness:?}");
}

#[test]
fn a_sparse_job_costs_few_calls_with_many_idle_workers() {
    let fixture = Fixture::start();
    let workers: Vec<Child> = (0..8).map(|_| fixture.child(&settings())).collect();
    fixture.until_registered(workers.len());
    let calls = || {
        let stats = fixture.redis.command(&["INFO", "commandstats"]).text();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
    let run = |jobs: usize| {
        let start = (calls(), Instant::now());
        for _ in 0..jobs {
            let id = fixture.enqueue_in(Duration::from_millis(30), Task::KIND, Act::Succeed);
            eventually("it has run", DEADLINE, || (!fixture.starts(id).is_empty()).then_some(()));
        }
        (calls() - start.0, start.1.elapsed())
    };
    run(10); // the workers learn of each other
    let (with_jobs, took) = run(60);
    let start = calls();
    std::thread::sleep(took);
    let idle = calls() - start;
    let per_job = (with_jobs - idle) / 60.0;
    // Enqueue, claim and complete are three. If all 8 workers claimed at each due time, it would be 10.
    assert!(per_job <= 7.0, "{per_job} calls per job");
}
