//! Bulk operations: each job of the filter is changed and counted once, whatever happens to the runners.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atode_queue::{
    Aborted, BulkAction, BulkId, BulkOutcome, BulkRunner, BulkState, BulkView, Client, Created, Due, Error,
    FailureCause, JobId, ListQuery, MAX_BATCH, MAX_OPEN_BULKS, NewBulk, Operation, Order, State, Verdict,
};
use atode_testkit::{RedisServer, eventually_async};
use serde_json::value::RawValue;
use support::{DEADLINE, HOUR, KIND, LEASE, TestQueue, failed, ids, settings};

const OTHER: &str = "test:other";
const NOW: Due = Due::After(Duration::ZERO);
const LATER: Due = Due::After(HOUR);

impl TestQueue {
    /// Jobs that died just now.
    async fn bury(&self, n: usize) -> Vec<JobId> {
        let mut buried = Vec::new();
        while buried.len() < n {
            let part = (n - buried.len()).min(MAX_BATCH);
            self.enqueue_many(part, NOW).await;
            buried.extend(self.bury_due(part).await);
        }
        buried
    }

    async fn bury_due(&self, n: usize) -> Vec<JobId> {
        let jobs = self.claim(n).await.jobs;
        let run = self.run(&jobs[0], self.now());
        let ids = ids(&jobs);
        let bury = |job: atode_queue::Claimed| {
            job.lease.bury(failed(&job.history, FailureCause::Permanent, "no", run.clone()))
        };
        let settled = self.client.settle(jobs.into_iter().map(bury).collect()).await;
        assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done), "{settled:?}");
        ids
    }

    async fn create(&self, action: BulkAction, query: ListQuery) -> BulkId {
        match self.client.bulks().create(&new(action, query)).await.unwrap() {
            Created::Created(bulk) => bulk.id,
            other => panic!("{other:?}"),
        }
    }

    /// Runs the next bulk operation here.
    async fn run_next(&self) -> bool {
        self.client.bulks().run_next(&runner(), &|_| HOUR, &|| false).await.unwrap()
    }

    async fn bulk(&self, id: BulkId) -> BulkView {
        self.client.bulks().get(id).await.unwrap().expect("a bulk operation")
    }

    async fn ended(&self, id: BulkId) -> BulkView {
        assert!(self.run_next().await);
        let bulk = self.bulk(id).await;
        assert_eq!(bulk.state, BulkState::Finished, "{bulk:?}");
        bulk
    }

    /// A runner that will be killed, as far as Redis can tell.
    fn runner_to_be_killed(&self) -> tokio::task::JoinHandle<()> {
        let client = self.client.clone();
        tokio::spawn(async move {
            let _ = client.bulks().run_next(&runner(), &|_| HOUR, &|| false).await;
        })
    }

    /// Waits until this many jobs are changed.
    async fn until_changed(&self, id: BulkId, jobs: u64) {
        eventually_async("some jobs are changed", DEADLINE, async || {
            (self.bulk(id).await.changed >= jobs).then_some(())
        })
        .await;
    }

    fn lease_runs_out(&self, id: BulkId) {
        self.command(&["HSET", &format!("atode:{{bulks}}:{id}"), "held_until", "0"]);
    }
}

fn runner() -> BulkRunner {
    BulkRunner { program: "test".to_owned(), pid: 7, build: "0.1.0+test".to_owned() }
}

fn query(states: &[State]) -> ListQuery {
    ListQuery {
        queues: vec![],
        kinds: vec![],
        states: states.to_vec(),
        after: None,
        before: None,
        order: Order::Asc,
        error: None,
        search: None,
        fingerprint: None,
    }
}

fn of_kind(kind: &str, states: &[State]) -> ListQuery {
    ListQuery { kinds: vec![kind.into()], ..query(states) }
}

fn new(action: BulkAction, query: ListQuery) -> NewBulk {
    let filter = RawValue::from_string(r#"{"all":true}"#.to_owned()).unwrap();
    NewBulk { action, filter, query, total: Some(0), idempotency: None }
}

fn numbers(bulk: &BulkView) -> (u64, u64, u64, u64) {
    (bulk.done, bulk.changed, bulk.skipped, bulk.failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_the_filter_is_redriven_once_and_no_other() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    let mut dead = test.bury(1_200).await;
    test.enqueue_of(OTHER, NOW).await;
    let other = test.bury_due(1).await[0];
    let waiting = test.enqueue(LATER).await;
    let id = test.create(BulkAction::Redrive, of_kind(KIND, &[State::Dead])).await;
    assert_eq!(test.bulk(id).await.state, BulkState::Waiting);
    let bulk = test.ended(id).await;
    assert_eq!(numbers(&bulk), (1_200, 1_200, 0, 0), "{bulk:?}");
    assert_eq!((bulk.matched, bulk.runner, bulk.error), (1_200, Some(runner()), None));
    assert!(bulk.created_at <= bulk.started_at && bulk.started_at <= bulk.ended_at);
    assert_eq!((test.state(other).await, test.state(waiting).await), (State::Dead, State::Scheduled));
    let mut redriven = Vec::new();
    while redriven.len() < 1_200 {
        redriven.extend(ids(&test.claim(1_000).await.jobs));
    }
    redriven.sort_unstable();
    dead.sort_unstable();
    assert_eq!(redriven, dead);
    assert!(!test.run_next().await, "it has ended");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_die_after_the_start_are_left_dead() {
    let test = TestQueue::start().await;
    let before = test.bury(3).await;
    tokio::time::sleep(Duration::from_millis(2)).await; // another millisecond
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let after = test.bury(2).await;
    assert_eq!(numbers(&test.ended(id).await), (3, 3, 0, 0));
    for id in before {
        assert_eq!(test.state(id).await, State::Ready);
    }
    for id in after {
        assert_eq!(test.state(id).await, State::Dead);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_job_that_dies_again_is_not_redriven_twice() {
    let test = TestQueue::start().await;
    test.bury(400).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let runner = test.runner_to_be_killed();
    let mut died_again = 0;
    eventually_async("all have died again", DEADLINE, async || {
        let due = test.claim(100).await.jobs;
        if !due.is_empty() {
            let run = test.run(&due[0], test.now());
            died_again += due.len();
            let bury = |job: atode_queue::Claimed| {
                job.lease.bury(failed(&job.history, FailureCause::Permanent, "again", run.clone()))
            };
            test.client.settle(due.into_iter().map(bury).collect()).await;
        }
        (died_again >= 400 && test.bulk(id).await.state == BulkState::Finished).then_some(())
    })
    .await;
    runner.await.unwrap();
    assert_eq!(numbers(&test.bulk(id).await), (400, 400, 0, 0));
    assert_eq!((died_again, test.count("ZCARD", &test.set("dead"))), (400, 400));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_changes_the_jobs_of_its_states() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    let scheduled = test.enqueue_many(3, LATER).await;
    let active = {
        test.enqueue_of(OTHER, NOW).await;
        test.claim_one().await
    };
    let ready = test.enqueue_now().await;

    let id = test.create(BulkAction::RunNow, query(&[State::Scheduled])).await;
    assert_eq!(numbers(&test.ended(id).await), (3, 3, 0, 0));
    for id in &scheduled {
        assert_eq!(test.state(*id).await, State::Ready);
    }
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    assert_eq!(numbers(&test.ended(id).await), (5, 5, 0, 0));
    assert_eq!(test.state(ready).await, State::Cancelled);
    assert!(test.job(active.lease.id()).await.cancel_requested);

    let dead = test.bury(2).await;
    let id = test.create(BulkAction::Delete, query(&[State::Dead, State::Cancelled])).await;
    assert_eq!(numbers(&test.ended(id).await), (6, 6, 0, 0));
    assert!(test.find(dead[0]).await.is_none() && test.find(ready).await.is_none());
    assert_eq!(test.state(active.lease.id()).await, State::Active);
    test.check_invariants();
}

/// Begins with the jobs that are due first, as a claim does.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_claimed_meanwhile_are_asked_to_end_only_if_active_ones_are_selected() {
    for states in [&[State::Scheduled, State::Ready][..], BulkAction::Cancel.states()] {
        let test = TestQueue::start().await;
        test.enqueue_many(250, NOW).await;
        let id = test.create(BulkAction::Cancel, query(states)).await;
        let runner = test.runner_to_be_killed();
        test.until_changed(id, 1).await;
        let claimed = test.claim(20).await.jobs;
        runner.await.unwrap();
        let bulk = test.bulk(id).await;
        let (all, active) = (250, claimed.len() as u64);
        assert!(active > 0);
        let takes_active = states.contains(&State::Active);
        let skipped = if takes_active { 0 } else { active };
        assert_eq!((bulk.state, numbers(&bulk)), (BulkState::Finished, (all, all - skipped, skipped, 0)));
        for job in claimed {
            assert_eq!(test.job(job.lease.id()).await.cancel_requested, takes_active);
        }
        let is_active = |reason: &str| reason == "it changed since it was found, and is active";
        assert!(bulk.examples.iter().all(|example| is_active(&example.reason)), "{bulk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_attempt_ends_meanwhile_is_cancelled_before_the_next_one() {
    let test = TestQueue::start().await;
    let in_its_attempt = test.enqueue_now().await;
    let claimed = test.claim_one().await;
    test.enqueue_many(500, LATER).await;
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    let runner = test.runner_to_be_killed();
    // The place of a job that is due now is passed by then.
    test.until_changed(id, 1).await;
    test.done(claimed.lease.release(Duration::ZERO)).await;
    runner.await.unwrap();
    assert_eq!(test.state(in_its_attempt).await, State::Cancelled);
    assert_eq!(numbers(&test.bulk(id).await), (501, 501, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_completed_before_their_retention_became_shorter_are_deleted() {
    let test = TestQueue::start().await;
    test.enqueue_many(3, NOW).await;
    let mut jobs = test.claim(3).await.jobs;
    let last = jobs.remove(2);
    for (job, retention) in jobs.into_iter().zip([48 * HOUR, HOUR]) {
        test.done(job.lease.complete(retention, job.history)).await;
    }
    let id = test.create(BulkAction::Delete, query(&[State::Completed])).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let later = last.lease.id();
    test.done(last.lease.complete(HOUR, last.history)).await;
    let bulk = test.ended(id).await;
    assert_eq!((bulk.changed, bulk.skipped), (2, 0), "{bulk:?}");
    assert_eq!(test.state(later).await, State::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_enqueued_after_the_start_are_not_cancelled() {
    let test = TestQueue::start().await;
    let early = test.enqueue(LATER).await;
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let late = test.enqueue(LATER).await;
    let bulk = test.ended(id).await;
    assert_eq!((bulk.matched, bulk.changed), (1, 1));
    assert_eq!((test.state(early).await, test.state(late).await), (State::Cancelled, State::Scheduled));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_causes_select_among_the_jobs_that_are_looked_at() {
    let test = TestQueue::start().await;
    test.bury(3).await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let (id, run) = (job.lease.id(), test.run(&job, test.now()));
    let history = failed(&job.history, FailureCause::Permanent, "Connection refused by 10.0.0.1:80", run);
    test.done(job.lease.bury(history)).await;
    let refused = ListQuery { error: Some("connection REFUSED".to_owned()), ..query(&[State::Dead]) };
    let bulk = test.create(BulkAction::Redrive, refused).await;
    let bulk = test.ended(bulk).await;
    assert_eq!((bulk.done, bulk.matched, bulk.changed), (4, 1, 1));
    assert_eq!(test.state(id).await, State::Ready);

    let groups = test.client.failures(std::slice::from_ref(&test.queue), None, 10).await.unwrap().items;
    let cause = ListQuery { fingerprint: Some(groups[0].fingerprint), ..query(&[State::Dead]) };
    let bulk = test.create(BulkAction::Delete, cause).await;
    assert_eq!(test.ended(bulk).await.changed, 3);
    assert_eq!(test.count("ZCARD", &test.set("dead")), 0);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_runner_goes_on_after_one_is_killed_and_counts_each_job_once() {
    let test = TestQueue::start().await;
    test.bury(1_000).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    for killed in 1..=4 {
        let runner = test.runner_to_be_killed();
        test.until_changed(id, killed * 150).await;
        runner.abort();
        let _ = runner.await;
        assert!(!test.run_next().await, "the killed runner still holds it");
        test.lease_runs_out(id);
    }
    let bulk = test.ended(id).await;
    assert_eq!(numbers(&bulk), (1_000, 1_000, 0, 0), "{bulk:?}");
    assert_eq!(test.count("ZCARD", &test.set("due")), 1_000);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_was_replaced_stops_and_writes_nothing() {
    let test = TestQueue::start().await;
    test.bury(2_000).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let first = test.runner_to_be_killed();
    test.until_changed(id, 100).await;
    test.lease_runs_out(id);
    let bulk = test.ended(id).await;
    first.await.unwrap();
    assert_eq!(bulk.changed + bulk.skipped, bulk.matched);
    assert_eq!(bulk.done, 2_000);
    assert_eq!(test.count("ZCARD", &test.set("due")), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_stops_lets_another_one_go_on_at_once() {
    let test = TestQueue::start().await;
    test.bury(500).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (client, stopping) = (test.client.clone(), stop.clone());
    let first = tokio::spawn(async move {
        let is_stopping = move || stopping.load(Ordering::Relaxed);
        client.bulks().run_next(&runner(), &|_| HOUR, &is_stopping).await.unwrap()
    });
    test.until_changed(id, 100).await;
    stop.store(true, Ordering::Relaxed);
    assert!(first.await.unwrap());
    assert_eq!(test.bulk(id).await.state, BulkState::Running);
    assert_eq!(numbers(&test.ended(id).await), (500, 500, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_delays_it_and_no_job_is_lost_or_counted_twice() {
    let test = TestQueue::start().await;
    test.bury(1_000).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let runner = test.runner_to_be_killed();
    test.until_changed(id, 100).await;
    test.redis.pause();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    test.redis.resume();
    eventually_async("it has ended", DEADLINE, async || {
        let bulk = test.client.bulks().get(id).await.ok()??;
        bulk.state.has_ended().then_some(())
    })
    .await;
    runner.await.unwrap();
    assert_eq!(numbers(&test.bulk(id).await), (1_000, 1_000, 0, 0));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_the_rest_of_the_jobs_alone() {
    let test = TestQueue::start().await;
    test.bury(2_000).await;
    let waiting = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let Aborted::Done(bulk) = test.client.bulks().abort(waiting).await.unwrap() else { panic!() };
    assert_eq!((bulk.state, bulk.changed), (BulkState::Aborted, 0));
    assert!(!test.run_next().await);

    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let runner = test.runner_to_be_killed();
    test.until_changed(id, 100).await;
    let Aborted::Done(bulk) = test.client.bulks().abort(id).await.unwrap() else { panic!() };
    assert_eq!(bulk.state, BulkState::Aborting);
    runner.await.unwrap();
    let bulk = test.bulk(id).await;
    assert_eq!(bulk.state, BulkState::Aborted);
    assert!((100..2_000).contains(&bulk.changed) && bulk.changed == bulk.done, "{bulk:?}");
    assert_eq!(test.count("ZCARD", &test.set("dead")), 2_000 - bulk.changed as i64);
    let again = test.client.bulks().abort(id).await.unwrap();
    assert!(matches!(again, Aborted::Done(_)), "{again:?}");
    let finished = test.create(BulkAction::Redrive, of_kind(OTHER, &[State::Dead])).await;
    test.ended(finished).await;
    let refused = test.client.bulks().abort(finished).await.unwrap();
    assert!(matches!(refused, Aborted::Refused(BulkState::Finished)), "{refused:?}");
    assert!(matches!(test.client.bulks().abort(BulkId::new(1)).await.unwrap(), Aborted::Gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_run_at_once_and_the_others_wait_in_their_order() {
    let test = TestQueue::start().await;
    test.bury(1_000).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(test.create(BulkAction::Redrive, query(&[State::Dead])).await);
    }
    let runners = [test.runner_to_be_killed(), test.runner_to_be_killed()];
    eventually_async("two run", DEADLINE, async || {
        let state = async |id| test.bulk(id).await.state;
        (state(ids[0]).await == BulkState::Running && state(ids[1]).await == BulkState::Running).then_some(())
    })
    .await;
    assert!(!test.run_next().await, "the third one waits");
    for runner in runners {
        runner.abort();
        let _ = runner.await;
    }
    let listed = test.client.bulks().list(10).await.unwrap();
    ids.reverse();
    assert_eq!(listed.iter().map(|bulk| bulk.id).collect::<Vec<_>>(), ids, "the latest comes first");
    let full = ids.len()..MAX_OPEN_BULKS;
    for _ in full {
        test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    }
    let refused = test.client.bulks().create(&new(BulkAction::Redrive, query(&[State::Dead]))).await.unwrap();
    assert!(matches!(refused, Created::Full), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_this_build_cannot_read_is_left_to_a_later_release() {
    let test = TestQueue::start().await;
    test.bury(1).await;
    for n in 0..2 {
        let later = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
        test.command(&["HSET", &format!("atode:{{bulks}}:{later}"), "action", &format!("later{n}")]);
    }
    for (field, value) in [("query", r#"{"states":["dead"],"colour":"red"}"#), ("action", "promote")] {
        let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
        let key = format!("atode:{{bulks}}:{id}");
        let kept = test.command(&["HGET", &key, field]).text();
        test.command(&["HSET", &key, field, value]);
        assert!(!test.run_next().await, "{field}");
        assert_eq!(test.command(&["HGET", &key, "state"]).text(), "waiting");
        test.command(&["HSET", &key, field, &kept]);
        test.ended(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_moves_between_the_look_and_the_operation_is_skipped_with_a_reason() {
    let test = TestQueue::start().await;
    let ids = test.enqueue_many(500, LATER).await;
    let id = test.create(BulkAction::RunNow, query(&[State::Scheduled])).await;
    let runner = test.runner_to_be_killed();
    // The last job of the first page, while the first ones are changed.
    test.until_changed(id, 1).await;
    let moved = ids[249];
    let later = Operation::Reschedule(Due::After(2 * HOUR));
    test.client.operate("default", KIND, moved, later).await.unwrap();
    runner.await.unwrap();
    let bulk = test.bulk(id).await;
    assert_eq!(bulk.state, BulkState::Finished);
    // Its own group may have come before the change. Otherwise it is skipped, and changed at its new place.
    for example in &bulk.examples {
        assert_eq!((example.id, example.outcome), (moved, BulkOutcome::Skipped));
        assert!(example.reason.contains("changed since it was found"), "{example:?}");
    }
    assert_eq!(bulk.skipped, bulk.examples.len() as u64);
    assert_eq!(bulk.changed, 500, "{bulk:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_one_expires_and_the_oldest_of_too_many_leave_the_list() {
    let test = TestQueue::start().await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let (key, list) = (format!("atode:{{bulks}}:{id}"), "atode:{bulks}:ended");
    assert_eq!(test.command(&["PTTL", &key]).int(), -1);
    let week = Duration::from_secs(7 * 24 * 60 * 60).as_millis() as i64;
    test.command(&["ZADD", list, &(test.now() - week - 1_000).to_string(), "old"]);
    test.ended(id).await;
    assert!((week - 60_000..=week).contains(&test.command(&["PTTL", &key]).int()));
    assert_eq!(test.count("ZCARD", list), 1);
    assert_eq!(test.count("ZCARD", "atode:{bulks}:open"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_keys_are_broken_is_counted_as_failed() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    test.enqueue_many(2, LATER).await;
    test.enqueue_of(OTHER, LATER).await;
    test.command(&["SET", &test.set_of(OTHER, "dead"), "by hand"]);
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    let bulk = test.ended(id).await;
    assert_eq!(numbers(&bulk), (3, 2, 0, 1), "{bulk:?}");
    assert_eq!((bulk.examples[0].outcome, &*bulk.examples[0].kind), (BulkOutcome::Failed, OTHER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_takes_a_bulk_delete() {
    let test = TestQueue::on(RedisServer::start()).await;
    test.enqueue_many(10, LATER).await;
    test.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = test.client.enqueue(test.new_job(NOW)).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let id = test.create(BulkAction::Delete, query(&[State::Scheduled])).await;
    assert_eq!(numbers(&test.ended(id).await), (10, 10, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_never_run_the_same_one() {
    let test = TestQueue::start().await;
    test.bury(300).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let clients: Vec<Client> = (0..6).map(|_| Client::open(&settings(test.redis.port())).unwrap()).collect();
    let runs = clients.iter().map(|client| async move {
        eventually_async("a connection", DEADLINE, async || client.connection().is_up().then_some(())).await;
        client.bulks().run_next(&runner(), &|_| LEASE, &|| false).await.unwrap()
    });
    let ran = futures_util::future::join_all(runs).await;
    assert_eq!(ran.into_iter().filter(|ran| *ran).count(), 1);
    assert_eq!(numbers(&test.bulk(id).await), (300, 300, 0, 0));
}
