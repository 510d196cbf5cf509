//! Calls are bounded in bytes as well as in jobs.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{Budget, Due, FailureCause, History, NewJob, Record, Verdict};
use serde_json::value::RawValue;
use support::{KIND, TestQueue, failed};

const NOW: Due = Due::After(Duration::ZERO);

/// A job with a payload of this many bytes.
fn large(test: &TestQueue, bytes: usize) -> NewJob {
    let payload = format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes - 11));
    let payload: &RawValue = serde_json::from_str(&payload).unwrap();
    NewJob::new(test.client.new_id(), &test.queue, &KIND.into(), &Record::new(payload), NOW)
}

async fn store(test: &TestQueue, jobs: &[NewJob]) {
    for stored in test.client.enqueue_each(&test.queue, jobs).await {
        stored.unwrap();
    }
}

fn script_calls(test: &TestQueue) -> u64 {
    let stats = test.redis.command(&["INFO", "commandstats"]).text();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_claim_brings_no_more_bytes_than_it_may_and_says_that_more_is_due() {
    let test = TestQueue::start().await;
    let jobs: Vec<NewJob> = (0..20).map(|_| large(&test, 250_000)).collect();
    store(&test, &jobs).await;
    let mut claimed = Vec::new();
    for _ in 0..5 {
        let claim = test.claim(64).await;
        assert_eq!(claim.jobs.len(), 4, "{:?}", claim.next_due);
        let more = claim.next_due.is_some_and(|due| due <= claim.now);
        claimed.extend(claim.jobs.iter().map(|job| job.lease.id()));
        assert_eq!(more, claimed.len() < 20);
    }
    assert_eq!(claimed, jobs.iter().map(|job| job.id).collect::<Vec<_>>(), "in the order of their due times");
}

#[tokio::test]
async fn a_job_larger_than_a_whole_call_is_claimed_alone() {
    let test = TestQueue::start().await;
    let jobs = [large(&test, 1_000), large(&test, 2 * Budget::MOST), large(&test, 1_000)];
    store(&test, &jobs).await;
    for job in &jobs {
        let claim = test.claim(1).await;
        assert_eq!(claim.jobs[0].lease.id(), job.id);
        assert_eq!(claim.jobs[0].record, job.record);
    }
    store(&test, &[large(&test, 2 * Budget::MOST), large(&test, 1_000)]).await;
    assert_eq!([test.claim(64).await.jobs.len(), test.claim(64).await.jobs.len()], [1, 1]);
}

#[tokio::test]
async fn a_thousand_retries_with_long_histories_are_several_calls() {
    let test = TestQueue::start().await;
    test.enqueue_many(1_000, NOW).await;
    let jobs = test.claim(1_000).await.jobs;
    let run = test.run(&jobs[0], 1);
    let error = "e".repeat(20_000);
    let history = (0..20)
        .fold(History::default(), |history, _| failed(&history, FailureCause::Error, &error, run.clone()));
    let retries = jobs.into_iter().map(|job| job.lease.retry(Duration::ZERO, history.clone())).collect();
    let before = script_calls(&test);
    let settled = test.client.settle(retries).await;
    assert_eq!(settled.answered.iter().filter(|(_, verdict)| *verdict == Verdict::Done).count(), 1_000);
    let calls = script_calls(&test) - before;
    assert!((8..20).contains(&calls), "{calls} calls");

    let claim = test.claim(1_000).await;
    assert!(claim.jobs.len() < 200, "histories count as well: {} jobs came at once", claim.jobs.len());
}
