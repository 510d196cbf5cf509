//! Claims over bad lines, beside broken queues and among many workers.

mod support;

use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::State;
use atode_testkit::{Proxy, eventually};
use support::{Act, Child, DEADLINE, Event, Stand, Task, registry, settings};
use worker::Settings;

#[test]
fn child_worker() {
    support::child_worker();
}

#[test]
fn large_jobs_run_over_a_thin_line() {
    let stand = Stand::start();
    let line = Proxy::start(stand.redis.port());
    line.throttle(12_500_000); // 100 Mbit/s
    stand.enqueue_large(64, 250_000, Task::KIND, Act::Succeed);
    let start = Instant::now();
    let _worker = Stand::worker_at(line.port(), Settings { concurrency: 64, ..settings() }, registry());
    stand.until_counts("all completed", |counts| counts.completed == 64);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_line_too_thin_for_a_whole_answer_gets_smaller_ones() {
    let stand = Stand::start();
    let line = Proxy::start(stand.redis.port());
    stand.enqueue_large(32, 50_000, Task::KIND, Act::Succeed);
    line.throttle(400_000); // an answer of 1 MiB would take 2.6 s, the command timeout is 0.8 s
    let _worker = Stand::worker_at(line.port(), Settings { concurrency: 64, ..settings() }, registry());
    stand.until_counts("all completed, without a lease that ran out", |counts| counts.completed == 32);
    let starts = stand.ledger().iter().filter(|entry| entry.event == Event::Start).count();
    assert_eq!(starts, 32, "what was leased to the worker without its knowledge has not run");
}

#[test]
fn jobs_of_a_claim_whose_answer_was_lost_run_within_seconds() {
    let stand = Stand::start();
    let line = Proxy::start(stand.redis.port());
    let _worker = Stand::worker_at(line.port(), Settings { concurrency: 64, ..settings() }, registry());
    stand.until_registered(1);
    // The paused claim is made when the pause is over, after the worker has given it up.
    stand.redis.command(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    let start = Instant::now();
    let ids: Vec<_> = eventually("stored after the pause", DEADLINE, || {
        let stored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stand.enqueue_many(40, Task::KIND, Act::Succeed)
        }));
        stored.ok()
    });
    for id in &ids {
        stand.until(*id, State::Completed);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "not after a lease: {:?}", start.elapsed());

    // The answer itself is lost.
    line.drop_reply_to("\"pid\":");
    let start = Instant::now();
    let ids = stand.enqueue_many(40, Task::KIND, Act::Succeed);
    for id in &ids {
        let job = stand.until(*id, State::Completed);
        assert_eq!((job.attempt, job.attempts.len()), (1, 0), "handed back unspent");
    }
    assert!(line.has_dropped(), "the fault has happened");
    assert!(start.elapsed() < Duration::from_secs(15), "not after a lease: {:?}", start.elapsed());
}

#[test]
fn a_broken_queue_does_not_slow_another() {
    let stand = Stand::start();
    let queues = [("broken".into(), 1), (support::QUEUE.into(), 1)].into();
    stand.redis.command(&["LPUSH", "atode:{broken}:fence", "x"]);
    let _worker = stand.worker_with(Settings { queues, ..settings() }, registry());
    stand.until_registered(1);
    let mut lateness: Vec<i64> = (0..20)
        .map(|_| {
            let id = stand.enqueue_in(Duration::from_millis(50), Task::KIND, Act::Succeed);
            let job = stand.until(id, State::Completed);
            let ms = |at: Option<jiff::Timestamp>| at.expect("it ran").as_millisecond();
            ms(job.started_at) - ms(job.due_at)
        })
        .collect();
    lateness.sort_unstable();
    assert!(lateness[10] <= 50, "492 ms with a back-off for all queues: {lateness:?}");
}

#[test]
fn a_sparse_job_costs_few_calls_however_many_workers_wait() {
    let stand = Stand::start();
    let workers: Vec<Child> = (0..8).map(|_| stand.child(&settings())).collect();
    stand.until_registered(workers.len());
    let calls = || {
        let stats = stand.redis.command(&["INFO", "commandstats"]).text();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<f64>().ok()).unwrap_or_default()
    };
    let run = |jobs: usize| {
        let start = (calls(), Instant::now());
        for _ in 0..jobs {
            let id = stand.enqueue_in(Duration::from_millis(30), Task::KIND, Act::Succeed);
            eventually("it has run", DEADLINE, || (!stand.starts(id).is_empty()).then_some(()));
        }
        (calls() - start.0, start.1.elapsed())
    };
    run(10); // until they know each other
    let (with_jobs, took) = run(60);
    let start = calls();
    std::thread::sleep(took);
    let idle = calls() - start;
    let per_job = (with_jobs - idle) / 60.0;
    // One each for enqueue, claim and complete; all 8 workers would ask at each due time.
    assert!(per_job <= 7.0, "{per_job} calls per job");
}
