//! Logging in: an error has Redis' words, and a password may be replaced at any time.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_config::redis::JobqueueRedis;
use atode_queue::{Client, Due, Error};
use atode_testkit::{RedisServer, eventually_async};
use secrecy::SecretString;
use support::{DEADLINE, TestQueue, settings};

const NOW: Due = Due::After(Duration::ZERO);

async fn trouble(settings: &JobqueueRedis, word: &str) -> String {
    let client = Client::open(settings).unwrap();
    eventually_async(word, DEADLINE, async || {
        client.connection().trouble().filter(|trouble| trouble.contains(word))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_is_reported_in_the_words_of_redis() {
    let redis = RedisServer::builder().password("secret").start();
    let plain = settings(redis.port());
    trouble(&plain, "NOAUTH").await;
    let mut wrong = plain.clone();
    wrong.connection.password = Some(SecretString::from("wrong"));
    let said = trouble(&wrong, "WRONGPASS").await;
    assert!(said.contains("check the jobqueue's username"), "{said}");
    wrong.connection.password = Some(SecretString::from("secret"));
    wrong.db = 99;
    trouble(&wrong, "DB index is out of range").await;
    redis.stop();
    trouble(&plain, "Connection refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_clients_are_reported_and_waited_for() {
    let redis = RedisServer::builder().arg("maxclients", "1").start();
    let taken = redis.connect(DEADLINE).unwrap();
    let client = Client::open(&settings(redis.port())).unwrap();
    eventually_async("it is told", DEADLINE, async || {
        client.connection().trouble().filter(|trouble| trouble.contains("max number of clients"))
    })
    .await;
    drop(taken);
    let mut admin = eventually_async("a connection", DEADLINE, async || redis.connect(DEADLINE).ok()).await;
    let _ = admin.command(&["CONFIG", "SET", "maxclients", "100"]);
    drop(admin);
    eventually_async("a connection", DEADLINE, async || client.server_facts().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_replaced_in_its_file_is_taken_at_the_next_connect() {
    let redis = RedisServer::builder().password("first").start();
    let file = std::env::temp_dir().join(format!("atode-{}-password", std::process::id()));
    std::fs::write(&file, "\u{feff}first\n").unwrap();
    let mut test = TestQueue::open(&redis.into(), "default");
    let mut settings = settings(test.redis.port());
    settings.connection.password_file = Some(file.clone());
    test.client = Client::open(&settings).unwrap();
    test.connected_for_the(1).await;
    assert!(test.client.enqueue(test.new_job(NOW)).await.unwrap().is_created());

    // One connection to set it and to drop those of the client with.
    let mut admin = test.redis.connect(DEADLINE).unwrap();
    admin.command(&["CONFIG", "SET", "requirepass", "second"]).unwrap();
    admin.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
    eventually_async("the old one is refused", DEADLINE, async || {
        test.client.connection().trouble().filter(|trouble| trouble.contains("WRONGPASS"))
    })
    .await;
    let error = test.client.enqueue(test.new_job(NOW)).await.unwrap_err();
    assert!(matches!(&error, Error::NotSent(why) if why.contains("WRONGPASS")), "{error}");
    std::fs::write(&file, "second\n").unwrap();
    eventually_async("a job is stored", DEADLINE, async || test.client.enqueue(test.new_job(NOW)).await.ok())
        .await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(test.client.connection().trouble(), None);
}
