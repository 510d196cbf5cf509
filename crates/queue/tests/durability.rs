//! Enqueues that are answered once they are on disk.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::{Duration, Instant};

use atode_queue::{Client, Due, Durability, Enqueued, Error, Idempotency, JobId, NewJob};
use atode_testkit::{Proxy, RedisServer, eventually_async};
use support::{DEADLINE, TestQueue, settings};

impl TestQueue {
    fn durable(&self) -> NewJob {
        let job = self.new_job(Due::After(Duration::ZERO));
        NewJob { durability: Some(Durability::Fsync), ..job }
    }

    async fn enqueue_to_disk(&self) -> Result<JobId, Error> {
        let job = self.durable();
        let id = job.id;
        self.client.enqueue(job).await.map(|stored| {
            assert!(stored.is_created());
            id
        })
    }

    async fn knows_waitaof(&self) -> bool {
        let version = self.client.server_facts().await.unwrap().version;
        version.starts_with("valkey") || !version.starts_with("7.0")
    }
}

async fn answered_jobs_survive(appendfsync: &str) {
    let test = TestQueue::on(RedisServer::builder().appendfsync(appendfsync).start()).await;
    let mut stored = Vec::new();
    for _ in 0..5 {
        // Jobs that wait for the disk use a connection of their own, which may come back later than the other.
        let answer = eventually_async("the connection is back", DEADLINE, async || {
            match test.enqueue_to_disk().await {
                Err(Error::NotSent(_)) => None,
                answer => Some(answer),
            }
        });
        match answer.await {
            Ok(id) => stored.push(id),
            Err(Error::NotDurable(why)) => {
                assert!(appendfsync == "everysec" && !test.knows_waitaof().await, "{why}");
                assert!(why.contains("7.2"), "{why}");
                assert_eq!(test.count("HLEN", &test.key("jobs")), 0);
                return;
            }
            Err(error) => panic!("{error}"),
        }
        test.redis.kill();
        test.redis.restart();
        for id in &stored {
            let record = test.command(&["HGET", &test.key("jobs"), &id.short()]);
            assert!(record.text().ends_with(" {}"), "{id}");
        }
        test.connected_for_the(stored.len() as u64 + 1).await;
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_appendfsync_always_a_kill_takes_nothing_that_was_answered() {
    answered_jobs_survive("always").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_everysec_a_kill_takes_nothing_that_was_waited_for() {
    answered_jobs_survive("everysec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_promise_it_says_why_and_stores_nothing() {
    let test = TestQueue::start().await;
    for (setting, value, word) in [("appendfsync", "no", "appendfsync no"), ("appendonly", "no", "no AOF")] {
        test.command(&["CONFIG", "SET", setting, value]);
        let error = test.enqueue_to_disk().await.unwrap_err();
        assert!(matches!(&error, Error::NotDurable(why) if why.contains(word)), "{error}");
        assert!(error.nothing_happened());
    }
    assert_eq!(test.count("EXISTS", &test.key("jobs")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_share_a_wait_and_a_repeat_waits_too() {
    let test = TestQueue::on(RedisServer::builder().appendfsync("always").start()).await;
    let jobs: Vec<NewJob> = (0..200).map(|_| test.durable()).collect();
    let stored = futures_util::future::join_all(jobs.into_iter().map(|job| test.client.enqueue(job))).await;
    assert!(stored.into_iter().all(|stored| stored.unwrap().is_created()));
    let keyed = |key| NewJob { idempotency: Some(Idempotency::new("a client", key, b"")), ..test.durable() };
    let first = keyed("k");
    let id = first.id;
    assert!(test.client.enqueue(first).await.unwrap().is_created());
    assert_eq!(test.client.enqueue(keyed("k")).await.unwrap(), Enqueued::Duplicate(id));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_way_to_the_disk_is_not_known_is_said_to_be_stored() {
    let mut test = TestQueue::start().await;
    let network = Proxy::start(test.redis.port());
    test.client = Client::open(&settings(network.port())).unwrap();
    test.connected_for_the(1).await;
    if !test.knows_waitaof().await {
        return; // this server answers NotDurable, see above
    }
    network.drop_reply_to("WAITAOF");
    let job = test.durable();
    let id = job.id;
    let error = test.client.enqueue(job).await.unwrap_err();
    assert!(matches!(error, Error::NotYetOnDisk(stored) if stored == id), "{error}");
    assert!(!error.nothing_happened());
    assert_eq!(test.count("HLEN", &test.key("jobs")), 1);
}

/// Number of times that Redis has run a command.
fn calls(test: &TestQueue, command: &str) -> u64 {
    let stats = test.command(&["INFO", "commandstats"]).text();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_asked_for_its_settings_once_a_second_at_most() {
    let test = TestQueue::on(RedisServer::builder().appendfsync("always").start()).await;
    test.enqueue_to_disk().await.unwrap();
    let start = Instant::now();
    let before = calls(&test, "config|get");
    for queue in ["default", "mail", "reports"].repeat(20) {
        let job = NewJob { queue: queue.into(), ..test.durable() };
        test.client.enqueue(job).await.unwrap();
    }
    let asked = calls(&test, "config|get") - before;
    assert!(asked <= start.elapsed().as_secs() + 1, "{asked} times in {:?}", start.elapsed());
    // A change counts from the next look on.
    test.command(&["CONFIG", "SET", "appendfsync", "no"]);
    eventually_async("it is refused", DEADLINE, async || {
        matches!(test.enqueue_to_disk().await, Err(Error::NotDurable(_))).then_some(())
    })
    .await;
}
