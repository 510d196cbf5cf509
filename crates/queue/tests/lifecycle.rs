//! A job from enqueue to its end: its view at each step, and its retention.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{
    Due, Durability, Error, FailureCause, JobId, MAX_FINISHED, NewJob, Record, State, Verdict,
};
use atode_testkit::eventually_async;
use support::{DEADLINE, HOUR, INSTANT, KIND, TestQueue, failed, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_visible_at_each_step_with_its_payload_byte_for_byte() {
    let test = TestQueue::start().await;
    let payload = "{\"n\": 9007199254740993,  \"d\": 0.1000000000000000055511151231257827, \"e\": 1e400,\
                   \"é\": \"\\u00e9 \u{1f980}\",\n \"lua\": \"]] .. redis.call('FLUSHALL') {1} %d\"}";
    let id = test.client.new_id();
    let record = record(payload);
    let job = NewJob::new(id, &test.queue, &KIND.into(), &record, Due::After(Duration::ZERO));
    let before = test.now();
    assert!(test.client.enqueue(job).await.unwrap().is_created());
    let after = test.now();

    let view = test.job(id).await;
    let due = view.due_at.unwrap().as_millisecond();
    assert_eq!(view.state, Some(State::Ready));
    assert!((before..=after).contains(&due), "{before} {due} {after}");
    assert_eq!(view.payload.get(), payload);
    assert_eq!((&*view.kind, &*view.queue, view.attempt), (KIND, &*test.queue, 0));
    assert_eq!(view.enqueued_at.unwrap().as_millisecond(), id.made_at().unwrap());
    assert_eq!((view.started_at, view.finished_at, view.last_error), (None, None, None));
    assert!(view.worker.is_none() && view.attempts.is_empty());

    let mut claim = test.claim(10).await;
    let claimed = claim.jobs.remove(0);
    assert_eq!((claimed.lease.id(), claimed.due), (id, due));
    assert_eq!(claimed.record, record.encode(KIND));
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt), (Some(State::Active), 1));
    assert_eq!(view.worker.as_deref(), Some(&test.worker));
    assert_eq!(view.started_at.unwrap().as_millisecond(), claim.now);
    assert_eq!(view.due_at.unwrap().as_millisecond(), due);
    assert_eq!((view.finished_at, view.payload.get()), (None, payload));
    test.check_invariants();

    let run = test.run(&claimed, claim.now);
    let before = test.now();
    test.done(claimed.lease.complete(HOUR, claimed.history.finished_with(run))).await;
    let after = test.now();
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt), (Some(State::Completed), 1));
    let finished = view.finished_at.unwrap().as_millisecond();
    assert!((before..=after).contains(&finished), "{before} {finished} {after}");
    assert_eq!(view.worker.as_deref(), Some(&test.worker));
    assert_eq!(view.started_at.unwrap().as_millisecond(), claim.now);
    assert_eq!(view.due_at.unwrap().as_millisecond(), due);
    assert_eq!((view.last_error, view.payload.get()), (None, payload));
    assert_eq!(test.score("done", id), Some(finished + 3_600_000));
    assert!(test.claim(10).await.jobs.is_empty());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_an_earlier_version_stored_runs_under_its_22_characters() {
    let test = TestQueue::start().await;
    let id: JobId = "01a20ae0-e7a9-74d9-a81f-9cb53c56386d".parse().unwrap();
    assert_eq!(id.short().len(), 22);
    let later = test.enqueue(Due::After(HOUR)).await;
    assert_eq!(later.short().len(), 14);
    let record = test.command(&["HGET", &test.key("jobs"), &later.short()]).text();
    test.command(&["HSET", &test.key("jobs"), &id.short(), &record]);
    test.command(&["ZADD", &test.set("due"), "1", &id.short()]);

    assert_eq!(test.state(id).await, State::Ready);
    let claimed = test.claim_one().await;
    assert_eq!(claimed.lease.id(), id);
    let run = test.run(&claimed, test.now());
    test.done(claimed.lease.complete(HOUR, claimed.history.finished_with(run))).await;
    assert_eq!(test.state(id).await, State::Completed);
    assert!(test.score("done", id).is_some());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_record_of_an_earlier_version_lives_on() {
    let test = TestQueue::start().await;
    let id = test.enqueue(Due::After(Duration::ZERO)).await;
    let payload = r#"{"x":  1}"#;
    let old = format!(r#"{{"kind":"{KIND}","payload":{payload},"max_retries":7}}"#);
    test.command(&["HSET", &test.key("jobs"), &id.short(), &old]);
    let view = test.job(id).await;
    assert_eq!((&*view.kind, view.payload.get(), view.max_retries), (KIND, payload, Some(7)));

    let mut claim = test.claim(1).await;
    let claimed = claim.jobs.remove(0);
    assert_eq!(claimed.record, old);
    assert_eq!(Record::decode(&claimed.record).unwrap().payload.get(), payload);
    let run = test.run(&claimed, claim.now);
    test.done(claimed.lease.complete(HOUR, claimed.history.finished_with(run))).await;
    let view = test.job(id).await;
    assert_eq!((view.state, view.payload.get()), (Some(State::Completed), payload));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_already_there_is_an_error() {
    let test = TestQueue::start().await;
    let job = test.new_job(Due::After(HOUR));
    assert!(test.client.enqueue(job.clone()).await.unwrap().is_created());
    let error = test.client.enqueue(job).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kinds_with_the_same_tag_are_told_apart_by_their_sets() {
    let test = TestQueue::start().await;
    // Their records start alike.
    let (one, other) = (
        test.enqueue_of("t:ac1a", Due::After(HOUR)).await,
        test.enqueue_of("t:adhb", Due::After(HOUR)).await,
    );
    let tag = |id: JobId| test.command(&["HGET", &test.key("jobs"), &id.short()]).text()[..4].to_owned();
    assert_eq!(tag(one), tag(other));
    assert_eq!((&*test.job(one).await.kind, &*test.job(other).await.kind), ("t:ac1a", "t:adhb"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_due_later_is_scheduled_until_its_due_time() {
    let test = TestQueue::start().await;
    let before = test.now();
    let after_delay = test.enqueue(Due::After(HOUR)).await;
    let after = test.now();
    let view = test.job(after_delay).await;
    let due = view.due_at.unwrap().as_millisecond();
    assert_eq!(view.state, Some(State::Scheduled));
    assert!((before..=after).contains(&(due - 3_600_000)));

    // The year 9999, beyond the 14 digits that Lua itself would print.
    let at = test.enqueue(Due::At(253_370_764_800_123)).await;
    assert_eq!(test.job(at).await.due_at.unwrap().as_millisecond(), 253_370_764_800_123);
    let past = test.enqueue(Due::At(1)).await;
    assert_eq!(test.state(past).await, State::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_found_in_whichever_queue_it_is() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    let id = other.enqueue_now().await;
    let queues = [test.queue.clone(), other.queue.clone()];
    let view = test.client.job(&queues, id).await.unwrap().unwrap();
    assert_eq!((view.id, &*view.queue), (id, "other"));
    let unknown = test.client.new_id();
    assert!(test.client.job(&queues, unknown).await.unwrap().is_none());
    assert!(test.find(unknown).await.is_none());
    assert!(test.client.job(&[], id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_retention_a_completed_job_is_gone_at_once() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let claimed = test.claim_one().await;
    // A failure before leaves a state behind that has to go as well.
    let run = test.run(&claimed, 1);
    let history = failed(&claimed.history, FailureCause::Error, "no", run);
    test.done(claimed.lease.retry(Duration::ZERO, history)).await;
    let claimed = test.claim_one().await;
    test.done(claimed.lease.complete(Duration::ZERO, claimed.history)).await;
    assert!(test.find(id).await.is_none());
    for hash in ["jobs", "active", "state"] {
        assert_eq!(test.count("HLEN", &test.key(hash)), 0, "{hash}");
    }
    assert_eq!(test.count("ZCARD", &test.set("done")), 0);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_job_stays_for_its_retention_and_is_trimmed_after_it() {
    let test = TestQueue::start().await;
    let (kept, short) = (test.enqueue_now().await, test.enqueue_now().await);
    for claimed in test.claim(2).await.jobs {
        let retention = if claimed.lease.id() == kept { HOUR } else { Duration::from_millis(20) };
        test.done(claimed.lease.complete(retention, claimed.history)).await;
    }
    eventually_async("the retention of one is over", DEADLINE, async || {
        (test.client.trim(&test.queue).await.unwrap() == 1).then_some(())
    })
    .await;
    assert!(test.find(short).await.is_none());
    assert_eq!(test.state(kept).await, State::Completed);
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 0);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_finished_jobs_is_trimmed() {
    let test = TestQueue::start().await;
    let dead = test.enqueue_now().await;
    let claimed = test.claim_one().await;
    test.done(claimed.lease.bury(claimed.history)).await;
    let active = test.enqueue_now().await;
    test.claim_for(1, INSTANT).await;
    let waiting = test.enqueue(Due::At(1)).await;
    // Dead for ever, and still not trimmed.
    test.command(&["ZADD", &test.set("dead"), "1", &dead.short()]);
    test.until_expired(1).await;
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 0);
    assert_eq!(test.state(dead).await, State::Dead);
    assert_eq!(test.state(active).await, State::Active);
    assert_eq!(test.state(waiting).await, State::Ready);
    test.check_invariants();
}

/// Makes finished jobs with raw commands, 1 ms of expiry apart.
fn fill(test: &TestQueue, set: &str, first: i64, n: usize) {
    let script = "for i = 1, ARGV[2] do \
                    local id = ARGV[3] .. string.format('%06d', i) \
                    redis.call('HSET', KEYS[1], id, '{}') redis.call('HSET', KEYS[2], id, '1 1 0 {}') \
                    redis.call('ZADD', KEYS[3], ARGV[1] + i - 1, id) \
                  end redis.call('SADD', KEYS[4], ARGV[4])";
    let base = test.key("");
    let name = set.strip_prefix(&base).unwrap();
    let kind = name.rsplit_once(':').unwrap().0;
    let (first, n) = (first.to_string(), n.to_string());
    let keys = [&test.key("jobs"), &test.key("state"), set, &test.key("kinds")];
    let words = [&["EVAL", script, "4"][..], &keys, &[&first, &n, name, kind]].concat();
    test.command(&words);
}

#[tokio::test(flavor = "multi_thread")]
async fn trim_takes_as_many_steps_as_it_needs_and_takes_cancelled_jobs_too() {
    let test = TestQueue::start().await;
    let future = test.now() + 3_600_000;
    for kind in [KIND, "test:other"] {
        fill(&test, &test.set_of(kind, "done"), 1, 1_100);
        fill(&test, &test.set_of(kind, "cancelled"), 1, 600);
    }
    fill(&test, &test.set_of("test:third", "done"), future, 5);
    test.check_invariants();
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 3_400);
    assert_eq!(test.count("HLEN", &test.key("jobs")), 5);
    assert_eq!(test.count("HLEN", &test.key("state")), 5);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn trim_drops_counters_that_are_over_an_hour_old() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    let minute = test.now() / 60_000;
    let stats = test.key("stats");
    test.command(&["HSET", &stats, &format!("{} completed", minute - 61), "3", "not a minute", "1"]);
    test.command(&["HSET", &stats, &format!("{} completed", minute - 30), "3"]);
    test.client.trim(&test.queue).await.unwrap();
    let left = test.command(&["HKEYS", &stats]).texts();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|name| name.split(' ').next().unwrap().parse::<i64>().unwrap() >= minute - 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_ten_thousand_finished_jobs_are_kept_and_the_oldest_go() {
    let test = TestQueue::start().await;
    let done = test.set("done");
    fill(&test, &done, test.now() + 1_000_000, MAX_FINISHED);
    let new = test.enqueue_many(5, Due::After(Duration::ZERO)).await;
    let completions = test.claim(5).await.jobs.into_iter();
    let settled =
        test.client.settle(completions.map(|job| job.lease.complete(HOUR, job.history)).collect()).await;
    assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done));
    assert_eq!(test.count("ZCARD", &done), MAX_FINISHED as i64);
    assert_eq!(test.count("HLEN", &test.key("jobs")), MAX_FINISHED as i64);
    let oldest = test.command(&["ZRANGE", &done, "0", "0"]).texts();
    assert!(oldest[0].ends_with("000006"), "{oldest:?}");
    for id in new {
        assert_eq!(test.state(id).await, State::Completed);
    }
    // Trim removes jobs that exceed the limit in another way.
    fill(&test, &test.set("cancelled"), test.now() + 1_000_000, MAX_FINISHED + 700);
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 700);
    assert_eq!(test.count("ZCARD", &test.set("cancelled")), MAX_FINISHED as i64);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_jobs_of_many_overfull_kinds_stays_below_luas_limit() {
    let kinds: Vec<String> = (0..9).map(|n| format!("test:{n}")).collect();
    let names: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let test = TestQueue::start().await.with_kinds(&names);
    let future = test.now() + 1_000_000;
    for kind in &kinds {
        fill(&test, &test.set_of(kind, "done"), future, MAX_FINISHED + 1_000);
        test.enqueue_of(kind, Due::After(Duration::ZERO)).await;
    }
    let jobs = test.claim(100).await.jobs;
    assert_eq!(jobs.len(), 9);
    let settlements = jobs.into_iter().map(|job| job.lease.complete(HOUR, job.history)).collect();
    let settled = test.client.settle(settlements).await;
    assert!(settled.error.is_none(), "{:?}", settled.error);
    let left = 9 * (MAX_FINISHED as i64 + 1_001) - 1_000;
    assert_eq!(test.count("HLEN", &test.key("jobs")), left);
    assert_eq!(kinds.iter().map(|kind| test.count("ZCARD", &test.set_of(kind, "done"))).sum::<i64>(), left);
    assert_eq!(test.count("HLEN", &test.key("active")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_client_takes_its_tasks_and_connections_along() {
    let test = TestQueue::start().await;
    let connections = || test.command(&["CLIENT", "LIST"]).text().lines().count();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // The test's own subscriber is the last of its client that connects.
    eventually_async("the test's client is complete", DEADLINE, async || {
        let subscribed = test.command(&["CLIENT", "LIST"]).text().contains("sub=1");
        subscribed.then_some(())
    })
    .await;
    let before = (connections(), tasks());

    let other = test.beside("default").await;
    let client = other.client.clone();
    // All that opens a connection or starts a task: enqueues of both durabilities, and who listens.
    client.enqueue(other.new_job(Due::After(HOUR))).await.unwrap();
    let mut to_disk = other.new_job(Due::After(HOUR));
    to_disk.durability = Some(Durability::Fsync);
    let _ = client.enqueue(to_disk).await;
    let wakeups = client.wakeups(std::slice::from_ref(&other.queue), &atode_queue::KindSet::default());
    wakeups.next().await;
    eventually_async("its connections are there", DEADLINE, async || {
        (connections() >= before.0 + 3).then_some(())
    })
    .await;

    drop(other);
    assert!(client.connection().is_up(), "a clone keeps it");
    drop((client, wakeups));
    eventually_async("all is gone", DEADLINE, async || {
        (connections() <= before.0 && tasks() <= before.1).then_some(())
    })
    .await;
}
