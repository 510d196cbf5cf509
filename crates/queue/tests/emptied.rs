//! A Redis that lost its data, and other dangers for jobs.

mod support;

use std::time::Duration;

use atode_queue::{Client, Due};
use atode_testkit::{RedisServer, eventually_async};
use support::{DEADLINE, TestQueue};

const NOW: Due = Due::After(Duration::ZERO);

async fn until_emptied(client: &Client) -> Vec<String> {
    eventually_async("it is noticed", DEADLINE, async || {
        let facts = client.server_facts().await.ok()?;
        facts.emptied_at.is_some().then(|| facts.warnings())
    })
    .await
}

/// Waits until both have seen the data.
async fn until_known(test: &TestQueue) {
    eventually_async("Redis has a name", DEADLINE, async || {
        let gets = test.command(&["INFO", "commandstats"]).text();
        let gets = gets.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        let gets: u32 = gets?.split(',').next()?.parse().ok()?;
        (gets >= 4).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_notices_a_flushall_and_later_jobs_can_be_found() {
    let test = TestQueue::start().await;
    let other = test.beside("mail").await;
    test.enqueue_now().await;
    other.enqueue_now().await;
    until_known(&test).await;
    test.command(&["FLUSHALL"]);
    for client in [&test.client, &other.client] {
        let warnings = until_emptied(client).await;
        assert!(warnings[0].contains("emptied at"), "{warnings:?}");
    }
    test.enqueue_now().await;
    let names = test.client.queue_names().await.unwrap();
    assert!(names.contains("default"), "{names:?}");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_noticed_only_if_the_data_is_gone() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    until_known(&test).await;
    test.redis.stop();
    test.redis.restart();
    test.connected_for_the(2).await;
    test.enqueue_now().await;
    assert_eq!(test.client.server_facts().await.unwrap().emptied_at, None);

    test.redis.stop();
    std::fs::remove_dir_all(test.redis.dir().join("appendonlydir")).unwrap();
    test.redis.restart();
    until_emptied(&test.client).await;
    assert!(test.client.enqueue(test.new_job(NOW)).await.unwrap().is_created());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_a_warning() {
    let test = TestQueue::on(RedisServer::builder().with_clock().start()).await;
    assert_eq!(test.client.server_facts().await.unwrap().warnings(), Vec::<String>::new());
    test.redis.clock().step_back(Duration::from_secs(90));
    let warnings = test.client.server_facts().await.unwrap().warnings();
    assert!(warnings[0].contains("behind this machine's"), "{warnings:?}");
    test.redis.clock().step_forward(Duration::from_secs(180));
    let warnings = test.client.server_facts().await.unwrap().warnings();
    assert!(warnings[0].contains("ahead of this machine's"), "{warnings:?}");
}
