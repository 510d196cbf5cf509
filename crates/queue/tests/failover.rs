//! The Redis behind a name changes: all connections follow, idle ones too.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use atode_queue::{Client, Due};
use atode_testkit::{Proxy, RedisServer, eventually_async};
use support::{DEADLINE, HOUR, TestQueue, settings};

const NOW: Due = Due::After(Duration::ZERO);
/// Maximum time until jobs are on time again.
const FOLLOWED: Duration = Duration::from_secs(5);

/// A client behind one name; its first primary.
async fn behind_a_name() -> (TestQueue, Proxy) {
    let mut test = TestQueue::start().await;
    let name = Proxy::start(test.redis.port());
    test.client = Client::open(&settings(name.port())).unwrap();
    test.connected_for_the(1).await;
    (test, name)
}

/// Waits until a new job wakes a sleeping worker, which fails while the subscriber listens to another server.
async fn until_woken(test: &TestQueue) -> Duration {
    // Each earlier than all before: of others nobody is told.
    static DUE: AtomicI64 = AtomicI64::new(1_000_000_000);
    let start = Instant::now();
    let wakeups = test.client.wakeups(std::slice::from_ref(&test.queue), &atode_queue::KindSet::default());
    eventually_async("a new job wakes a worker", DEADLINE, async || {
        let due = DUE.fetch_sub(1, Ordering::AcqRel);
        test.client.enqueue(test.new_job(Due::At(due))).await.ok()?;
        tokio::time::timeout(Duration::from_millis(300), async {
            while wakeups.next().await.due != Some(due) {}
        })
        .await
        .ok()
    })
    .await;
    start.elapsed()
}

/// Makes the old primary read-only, without a connection to the new one.
fn demote(old: &RedisServer) {
    old.command(&["REPLICAOF", "127.0.0.1", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subscriber_follows_the_commands_while_the_old_primary_lives_on() {
    let (test, name) = behind_a_name().await;
    until_woken(&test).await;
    let new = RedisServer::start();
    name.switch_to(new.port());
    demote(&test.redis);
    let took = until_woken(&test).await;
    assert!(took < FOLLOWED, "{took:?}");
    let waiting = new.command(&["HLEN", &test.key("jobs")]).int();
    assert!(waiting > 0);
    let channels = new.command(&["PUBSUB", "CHANNELS", "atode:*"]).texts();
    assert!(channels.contains(&test.key("wake")), "{channels:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_client_leaves_a_primary_that_became_a_replica() {
    let (test, name) = behind_a_name().await;
    let new = RedisServer::start();
    name.switch_to(new.port());
    demote(&test.redis);
    test.connected_for_the(2).await;
    assert!(test.client.enqueue(test.new_job(NOW)).await.unwrap().is_created());
    assert_eq!(new.command(&["HLEN", &test.key("jobs")]).int(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_hears_nothing_connects_again_though_no_connection_was_lost() {
    let (test, name) = behind_a_name().await;
    until_woken(&test).await;
    // Only what listens is led elsewhere.
    let other = RedisServer::start();
    name.switch_to(other.port());
    test.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually_async("the subscriber is elsewhere", DEADLINE, async || {
        (!other.command(&["PUBSUB", "CHANNELS", "atode:*"]).texts().is_empty()).then_some(())
    })
    .await;
    eventually_async("it is told", DEADLINE, async || {
        let warnings = test.client.server_facts().await.ok()?.warnings();
        warnings.iter().any(|warning| warning.contains("does not arrive here")).then_some(())
    })
    .await;
    name.switch_to(test.redis.port());
    let took = until_woken(&test).await;
    assert!(took < DEADLINE, "{took:?}");
    let id = test.enqueue(Due::After(HOUR)).await;
    assert_eq!(test.job(id).await.id, id);
    eventually_async("all is well", DEADLINE, async || {
        test.client.server_facts().await.ok()?.warnings().is_empty().then_some(())
    })
    .await;
}
