//! The runners of bulk operations: each job is changed and counted once, whatever happens to them.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod bulk_operations;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atode_queue::{
    Aborted, BulkAction, BulkId, BulkState, Client, Created, MAX_ENDED_BULKS, MAX_OPEN_BULKS, State,
};
use atode_testkit::eventually_async;
use bulk_operations::{OTHER, new, numbers, of_kind, query, runner};
use support::{DEADLINE, HOUR, LEASE, TestQueue, settings};

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

    for n in 0..MAX_ENDED_BULKS - 1 {
        test.command(&["ZADD", list, &(test.now() + 60_000).to_string(), &n.to_string()]);
    }
    test.command(&["ZADD", list, "XX", &test.now().to_string(), &id.to_string()]);
    let aborted = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    test.client.bulks().abort(aborted).await.unwrap();
    let kept = async |id| test.client.bulks().get(id).await.unwrap().is_some();
    assert!(!kept(id).await && kept(aborted).await);
    let finished = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    assert!(test.run_next().await);
    assert!(!kept(aborted).await && kept(finished).await);
    assert_eq!(test.count("ZCARD", list), MAX_ENDED_BULKS as i64);
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
