//! Dead jobs grouped by cause: what a group counts, and how it is redriven.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{
    Claimed, Due, FailureCause, FailureGroup, Fingerprint, History, JobId, MAX_BATCH, Moved, Operated,
    Operation, Reaped, Settlement, State, Verdict, WorkerRef,
};
use support::{KIND, TestQueue, failed, ids};

const NOW: Due = Due::After(Duration::ZERO);
const OTHER: &str = "test:other";

impl TestQueue {
    fn failed(&self, job: &Claimed, error: &str) -> History {
        failed(&job.history, FailureCause::Permanent, error, self.run(job, self.now()))
    }

    /// Makes a job that dies with each of these errors. Their ids are in the order of the errors.
    async fn bury(&self, errors: &[String]) -> Vec<JobId> {
        let mut buried = Vec::new();
        for errors in errors.chunks(MAX_BATCH) {
            self.enqueue_many(errors.len(), NOW).await;
            let jobs = self.claim(errors.len()).await.jobs;
            buried.extend(ids(&jobs));
            let run = self.run(&jobs[0], 1_700_000_000_000);
            let settlements = jobs.into_iter().zip(errors).map(|(job, error)| {
                job.lease.bury(failed(&job.history, FailureCause::Permanent, error, run.clone()))
            });
            let settled = self.client.settle(settlements.collect()).await;
            assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done), "{settled:?}");
        }
        buried
    }

    async fn bury_one(&self, error: &str) -> JobId {
        self.bury(&[error.to_owned()]).await.remove(0)
    }

    /// Buries a job as a release without groups does it: its state has no fingerprint.
    async fn bury_as_before(&self) -> JobId {
        self.enqueue_now().await;
        let job = self.claim_one().await;
        let id = job.lease.id();
        let history = self.failed(&job, "an old error");
        self.done(job.lease.bury(history)).await;
        let group =
            self.groups().await.into_iter().find(|group| group.error.as_deref() == Some("an old error"));
        let group = group.expect("it has just died").fingerprint.to_string();
        self.command(&["HDEL", &self.set("failures"), &group]);
        let state = self.command(&["HGET", &self.key("state"), &id.short()]).text();
        let state = state.replace(&format!(r#","fp":"{group}""#), "");
        self.command(&["HSET", &self.key("state"), &id.short(), &state]);
        id
    }

    async fn groups(&self) -> Vec<FailureGroup> {
        self.client.failures(std::slice::from_ref(&self.queue), None, 1_000).await.unwrap().items
    }

    /// Error (nothing: in no group) and count of each group, by error.
    async fn counts(&self) -> Vec<(Option<String>, u64)> {
        self.check_invariants();
        let mut counts: Vec<_> =
            self.groups().await.into_iter().map(|group| (group.error, group.count)).collect();
        counts.sort();
        counts
    }

    async fn assert_counts(&self, expected: &[(&str, u64)]) {
        let expected: Vec<_> =
            expected.iter().map(|(error, count)| (Some((*error).to_owned()), *count)).collect();
        assert_eq!(self.counts().await, expected);
    }

    async fn group(&self, error: Option<&str>) -> FailureGroup {
        let found = self.groups().await.into_iter().find(|group| group.error.as_deref() == error);
        found.unwrap_or_else(|| panic!("no group {error:?}"))
    }

    async fn redrive_failure(&self, fingerprint: Fingerprint, limit: usize) -> Moved {
        let queues = std::slice::from_ref(&self.queue);
        self.client.redrive_failure(queues, fingerprint, limit).await.unwrap()
    }
}

fn errors(n: usize, text: impl Fn(usize) -> String) -> Vec<String> {
    (0..n).map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_one_cause_are_one_group_with_its_times_builds_and_an_example() {
    let mut test = TestQueue::start().await;
    let before = test.now();
    test.bury_one("timed out after 12 ms\nat 10.0.0.1:80").await;
    let between = test.now();
    test.worker = WorkerRef { build: "0.2.0 +b".to_owned(), ..test.worker.clone() };
    let ids = test.bury(&errors(3, |n| format!("timed out after {n} ms at 10.0.0.{n}:81"))).await;
    test.bury_one("no such user \"ann\"").await;

    let groups = test.groups().await;
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].error.as_deref(), Some("no such user <str>"), "the latest death comes first");
    let group = &groups[1];
    assert_eq!(group.error.as_deref(), Some("timed out after <n> ms at <addr>"));
    assert_eq!((group.count, &*group.kind, &*group.queues), (4, KIND, &["default".to_owned()][..]));
    assert_eq!(group.builds, ["0.1.0+test", "0.2.0_+b"]);
    assert_eq!(group.fingerprint, Fingerprint::of(KIND, "timed out after 1 ms at 10.9.9.9:1"));
    let (first, last) =
        (group.first_seen.unwrap().as_millisecond(), group.last_seen.unwrap().as_millisecond());
    assert!((before..=between).contains(&first) && (between..=test.now()).contains(&last));
    let example = group.example.as_ref().unwrap();
    let place = ids.iter().position(|id| *id == example.id).expect("a job of the last call");
    assert_eq!(example.error, format!("timed out after {place} ms at 10.0.0.{place}:81"));
    assert_eq!(test.job(example.id).await.last_error.as_deref(), Some(&*example.error));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_after_redrive_delete_purge_and_each_repeated_call() {
    let test = TestQueue::start().await;
    let mut many = errors(6, |n| format!("a {n}"));
    many.extend(errors(4, |_| "b".to_owned()));
    let ids = test.bury(&many).await;
    test.assert_counts(&[("a <n>", 6), ("b", 4)]).await;

    for (id, operation) in [(ids[0], Operation::Redrive), (ids[1], Operation::Delete)] {
        let operate = async || test.client.operate(&test.queue, KIND, id, operation).await.unwrap();
        assert_eq!(operate().await, Operated::Done);
        assert_ne!(operate().await, Operated::Done);
    }
    test.assert_counts(&[("a <n>", 4), ("b", 4)]).await;
    let moved = test.client.redrive_queue(&test.queue, None, 3).await.unwrap();
    assert_eq!(moved, Moved { moved: 3, remaining: 5 });
    let purged = test.client.purge(&test.queue, State::Dead, Some(KIND), 2).await.unwrap();
    assert_eq!(purged, Moved { moved: 2, remaining: 3 });
    test.assert_counts(&[("b", 3)]).await;

    // A redriven job that dies again joins the group of its new cause.
    let job = test.claim(1).await.jobs.remove(0);
    let history = test.failed(&job, "b");
    test.done(job.lease.bury(history)).await;
    test.assert_counts(&[("b", 4)]).await;
    assert_eq!(test.client.purge(&test.queue, State::Dead, None, 100).await.unwrap().moved, 4);
    assert!(test.counts().await.is_empty());
    assert_eq!(test.count("EXISTS", &test.set("failures")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burial_is_counted_once_however_often_it_is_sent() {
    let test = TestQueue::start().await;
    test.enqueue_many(2, NOW).await;
    let mut jobs = test.claim(2).await.jobs;
    let bury = |job: Claimed| {
        let history = test.failed(&job, "no");
        job.lease.bury(history)
    };
    let (mut again, verdict) = test.settle(bury(jobs.remove(0))).await;
    assert_eq!(verdict, Verdict::Done);
    for _ in 0..2 {
        let verdict;
        (again, verdict) = test.settle(again).await;
        assert_eq!(verdict, Verdict::Already);
    }
    test.assert_counts(&[("no", 1)]).await;
    // A lease that was lost counts nothing.
    let stale: Settlement = bury(jobs.remove(0));
    let token = stale.lease().token().get().to_string();
    let entry = test.command(&["HGET", &test.key("active"), &stale.lease().id().short()]).text();
    let entry = entry.replace(&token, "7");
    test.command(&["HSET", &test.key("active"), &stale.lease().id().short(), &entry]);
    assert_eq!(test.settle(stale).await.1, Verdict::Stale);
    test.assert_counts(&[("no", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_crashed_too_often_joins_the_group_of_its_crash() {
    let test = TestQueue::start().await;
    for n in 0..2 {
        test.enqueue_now().await;
        let job = test.claim_one_for_an_instant().await;
        let expired = test.until_expired(1).await.remove(0);
        let error = format!("worker {} (pid {n} on a host) is gone", test.worker.id);
        let history = failed(&expired.history, FailureCause::Crash, &error, expired.run);
        for expected in [Verdict::Done, Verdict::Stale] {
            let (lease, history) = (expired.lease.clone(), history.clone());
            assert_eq!(test.reap(Reaped { lease, history, due_after: None }).await, expected);
        }
        drop(job);
    }
    test.assert_counts(&[("worker <id> (pid <n> on a host) is gone", 2)]).await;
    assert_eq!(test.groups().await[0].builds, ["0.1.0+test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_instead_of_buried_joins_no_group() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let _job = test.claim_one_for_an_instant().await;
    test.client.operate(&test.queue, KIND, id, Operation::Cancel).await.unwrap();
    let expired = test.until_expired(1).await.remove(0);
    let history = failed(&expired.history, FailureCause::Crash, "gone", expired.run);
    let reaped = Reaped { lease: expired.lease, history, due_after: None };
    assert_eq!(test.reap(reaped).await, Verdict::CancelRequested);
    assert!(test.counts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_an_earlier_release_buried_are_counted_and_redriven() {
    let test = TestQueue::start().await;
    let old = [test.bury_as_before().await, test.bury_as_before().await];
    test.bury_one("new").await;
    assert_eq!(test.counts().await, [(None, 2), (Some("new".to_owned()), 1)]);
    let group = test.group(None).await;
    let example = group.example.unwrap();
    assert!(old.contains(&example.id) && example.error == "an old error", "{example:?}");
    assert_eq!((group.first_seen, group.last_seen, group.builds.len()), (None, None, 0));

    let moved = test.redrive_failure(group.fingerprint, 1).await;
    assert_eq!(moved, Moved { moved: 1, remaining: 1 });
    assert_eq!(test.counts().await, [(None, 1), (Some("new".to_owned()), 1)]);
    let moved = test.redrive_failure(group.fingerprint, 2).await;
    assert_eq!(moved, Moved { moved: 1, remaining: 0 });
    for id in old {
        assert_eq!(test.state(id).await, State::Ready);
    }
    test.redrive_failure(group.fingerprint, 2).await;
    test.assert_counts(&[("new", 1)]).await;
}

/// Another test counts what an earlier release leaves uncounted: that release does not know of groups.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_release_did_not_count_is_forgotten_with_the_last_dead_job() {
    let test = TestQueue::start().await;
    let ids = test.bury(&errors(3, |_| "no".to_owned())).await;
    test.command(&["ZREM", &test.set("dead"), &ids[0].short()]);
    let group = test.group(Some("no")).await;
    assert_eq!(group.count, 3);
    let moved = test.redrive_failure(group.fingerprint, 10).await;
    assert_eq!(moved, Moved { moved: 2, remaining: 0 });
    assert!(test.groups().await.is_empty());

    let ids = test.bury(&errors(3, |_| "no".to_owned())).await;
    test.command(&["ZREM", &test.set("dead"), &ids[0].short()]);
    test.client.redrive_queue(&test.queue, None, 10).await.unwrap();
    assert_eq!(test.count("EXISTS", &test.set("failures")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_has_a_thousand_groups_at_most_and_further_causes_share_one_that_is_exact() {
    let test = TestQueue::start().await;
    let word = |n: usize| {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        format!("cause {}{}{}", letter(n / 676), letter(n / 26), letter(n))
    };
    test.bury(&errors(1_500, word)).await;
    assert_eq!(test.count("HLEN", &test.set("failures")), 998);
    let groups = test.groups().await;
    assert_eq!(groups.len(), 999);
    let shared = test.group(None).await;
    assert_eq!(shared.count, 502);
    assert!(shared.example.is_some());
    test.check_invariants();

    // A known cause is still counted, and a further job of another joins the shared group.
    test.bury(&[word(0), word(1_400)]).await;
    assert_eq!(test.group(Some(&word(0))).await.count, 2);
    assert_eq!(test.group(None).await.count, 503);
    // Room that becomes free is used. Earlier jobs of that cause stay where they are counted.
    let first = test.group(Some(&word(0))).await.fingerprint;
    while test.redrive_failure(first, 1_000).await.remaining > 0 {}
    test.bury_one(&word(1_400)).await;
    assert_eq!(test.group(Some(&word(1_400))).await.count, 1);
    assert_eq!(test.group(None).await.count, 503);
    let mut moved = 0;
    loop {
        let step = test.redrive_failure(shared.fingerprint, 400).await;
        moved += step.moved;
        test.check_invariants();
        if step.remaining == 0 {
            break;
        }
        assert_eq!(test.group(None).await.count, step.remaining);
    }
    assert_eq!(moved, 503);
    assert_eq!(test.group(Some(&word(1_400))).await.count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_goes_on_where_the_last_call_stopped_and_moves_only_its_group() {
    let test = TestQueue::start().await;
    let error = |n: usize| if n.is_multiple_of(5) { format!("a {n}") } else { "b".to_owned() };
    let ids = test.bury(&errors(100, error)).await;
    test.enqueue_now().await;
    let later = test.claim_one().await;
    let group = test.group(Some("a <n>")).await.fingerprint;
    for n in 1..=4 {
        // Each call looks at 20 jobs that no call has looked at, of which 4 are its own.
        let moved = test.redrive_failure(group, 20).await;
        assert_eq!(moved, Moved { moved: 4, remaining: 20 - 4 * n });
        test.assert_counts(&[("a <n>", 20 - 4 * n), ("b", 80)]).await;
    }
    // One that dies meanwhile is moved too, and no other job.
    let (later_id, history) = (later.lease.id(), test.failed(&later, "a 7"));
    test.done(later.lease.bury(history)).await;
    let moved = test.redrive_failure(group, 1_000).await;
    assert_eq!(moved, Moved { moved: 5, remaining: 0 });
    assert_eq!(test.state(later_id).await, State::Ready);
    assert_eq!(test.redrive_failure(group, 1_000).await, Moved { moved: 0, remaining: 0 });
    test.assert_counts(&[("b", 80)]).await;
    for (n, id) in ids.iter().enumerate() {
        let expected = if n.is_multiple_of(5) { State::Ready } else { State::Dead };
        assert_eq!(test.state(*id).await, expected, "{n}");
    }
    assert_eq!(test.job(ids[0]).await.attempt, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_misses_no_job_when_the_job_at_its_place_moves_or_the_clock_goes_back() {
    let redis = atode_testkit::RedisServer::builder().with_clock().start();
    redis.clock().freeze_at(1_900_000_000_000);
    let test = TestQueue::on(redis).await;
    // All of one millisecond: only their ids are ordered.
    let ids = test.bury(&errors(60, |n| if n < 30 { "b".to_owned() } else { "a".to_owned() })).await;
    let group = test.group(Some("a")).await.fingerprint;
    assert_eq!(test.redrive_failure(group, 10).await, Moved { moved: 0, remaining: 30 });
    // The last job that was passed over is redriven and dies again, behind all others.
    test.client.operate(&test.queue, KIND, ids[9], Operation::Redrive).await.unwrap();
    test.redis.clock().freeze_at(1_900_000_000_500);
    let job = test.claim_one().await;
    let history = test.failed(&job, "b");
    test.done(job.lease.bury(history)).await;
    let mut moved = 0;
    for _ in 0..3 {
        moved += test.redrive_failure(group, 10).await.moved;
    }
    assert!(moved > 0 && moved < 30, "{moved}");
    // A job of the group dies before the place where the redrive goes on.
    test.redis.clock().freeze_at(1_899_999_999_000);
    let early = test.bury_one("a").await;
    for _ in 0..20 {
        let step = test.redrive_failure(group, 10).await;
        moved += step.moved;
        test.check_invariants();
        if step.remaining == 0 {
            break;
        }
    }
    assert_eq!((moved, test.state(early).await), (31, State::Ready));
    test.assert_counts(&[("b", 30)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_is_a_job_that_is_still_dead() {
    let test = TestQueue::start().await;
    let ids = test.bury(&errors(5, |n| format!("a {n}"))).await;
    for left in (1..5).rev() {
        let example = test.groups().await.remove(0).example.unwrap();
        assert_eq!(test.state(example.id).await, State::Dead);
        assert!(example.error.starts_with("a "), "{example:?}");
        test.client.operate(&test.queue, KIND, example.id, Operation::Redrive).await.unwrap();
        test.assert_counts(&[("a <n>", left)]).await;
    }
    assert!(ids.contains(&test.groups().await[0].example.as_ref().unwrap().id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_spans_queues_and_never_kinds() {
    let test = TestQueue::start().await;
    let mail = test.beside("mail").await;
    test.bury(&errors(2, |_| "no".to_owned())).await;
    mail.bury(&errors(3, |_| "no".to_owned())).await;
    let other = test.beside("default").await.with_kinds(&[OTHER]);
    other.bury_one("no").await;

    let queues: [Arc<str>; 2] = [test.queue.clone(), mail.queue.clone()];
    let all = test.client.failures(&queues, None, 10).await.unwrap().items;
    let counts: Vec<_> = all.iter().map(|group| (&*group.kind, group.count)).collect();
    assert!(counts.contains(&(KIND, 5)) && counts.contains(&(OTHER, 1)) && counts.len() == 2, "{all:?}");
    let group = test.client.failures(&queues, Some(KIND), 1).await.unwrap().items.remove(0);
    assert_eq!((group.count, &*group.queues), (5, &["default".to_owned(), "mail".to_owned()][..]));

    let mut moved = Vec::new();
    for _ in 0..2 {
        moved.push(test.client.redrive_failure(&queues, group.fingerprint, 100).await.unwrap());
    }
    assert_eq!(moved, [Moved { moved: 2, remaining: 3 }, Moved { moved: 3, remaining: 0 }]);
    other.assert_counts(&[("no", 1)]).await;
}

/// Run it with `cargo test --release -p atode-queue --test failures -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it with --nocapture"]
async fn measure_100_000_dead_jobs_of_20_causes() {
    let test = TestQueue::start().await;
    let words = ["no", "such", "host", "timed", "out", "refused", "broken", "pipe", "bad", "gateway"];
    let cause =
        |n: usize| format!("{} {} after {n} ms", words[n % 10], if n % 20 < 10 { "early" } else { "late" });
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let mut buried = Vec::new();
    for part in 0..100 {
        test.enqueue_many(1_000, NOW).await;
        let jobs = test.claim(1_000).await.jobs;
        let run = test.run(&jobs[0], 1_700_000_000_000);
        let settlements = jobs.into_iter().enumerate().map(|(n, job)| {
            job.lease.bury(failed(
                &job.history,
                FailureCause::Permanent,
                &cause(part * 1_000 + n),
                run.clone(),
            ))
        });
        let settlements = settlements.collect();
        let start = std::time::Instant::now();
        assert!(test.client.settle(settlements).await.error.is_none());
        buried.push(start.elapsed());
    }
    let mut looks = Vec::new();
    for _ in 0..50 {
        let start = std::time::Instant::now();
        let groups = test.groups().await;
        looks.push(start.elapsed());
        assert_eq!((groups.len(), groups.iter().map(|group| group.count).sum::<u64>()), (20, 100_000));
    }
    let group = test.groups().await[0].fingerprint;
    let (start, mut steps, mut moved) = (std::time::Instant::now(), Vec::new(), 0);
    loop {
        let step = std::time::Instant::now();
        let done = test.redrive_failure(group, 1_000).await;
        steps.push(step.elapsed());
        moved += done.moved;
        if done.remaining == 0 {
            break;
        }
    }
    println!(
        "bury 1,000: {:?}; list 20 groups of 100,000: median {:?}, max {:?}; redrive {moved} of 100,000: {} calls, \
         median {:?}, all {:?}",
        median(buried),
        median(looks.clone()),
        looks.iter().max().unwrap(),
        steps.len(),
        median(steps),
        start.elapsed()
    );
    let mut redriven = Vec::new();
    loop {
        let step = std::time::Instant::now();
        let moved = test.client.redrive_queue(&test.queue, None, 1_000).await.unwrap();
        redriven.push(step.elapsed());
        if moved.remaining == 0 {
            break;
        }
    }
    println!("redrive 1,000 of a queue: median {:?}", median(redriven));
    test.command(&["FLUSHALL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_wrong_type_stop_a_call_before_it_writes() {
    let test = TestQueue::start().await;
    let id = test.bury_one("no").await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let history = test.failed(&job, "no");
    let bury = job.lease.bury(history);
    let fingerprint = Fingerprint::of(KIND, "no");
    test.command(&["SET", &test.set("failures"), "by hand"]);
    let before = test.snapshot();
    assert!(test.client.settle(vec![bury]).await.error.is_some());
    for operation in [Operation::Redrive, Operation::Delete] {
        assert!(test.client.operate(&test.queue, KIND, id, operation).await.is_err());
    }
    assert!(test.client.redrive_queue(&test.queue, None, 10).await.is_err());
    assert!(test.client.purge(&test.queue, State::Dead, None, 10).await.is_err());
    let queues = std::slice::from_ref(&test.queue);
    assert!(test.client.redrive_failure(queues, fingerprint, 10).await.is_err());
    assert!(test.client.failures(queues, None, 1).await.is_err());
    test.check_unchanged(&before);
}
