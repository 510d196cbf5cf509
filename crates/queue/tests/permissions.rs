//! Redis users with restricted permissions: missing permissions are named, everything else works.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use atode_config::redis::JobqueueRedis;
use atode_queue::{
    BulkAction, BulkRunner, Client, Departure, Due, Durability, Enqueued, Error, Idempotency, ListQuery,
    NewBulk, NewJob, Operation, Order, Reaped, RefusalCode, Registration, ServerFacts, State, Verdict,
    WorkerRequest, WorkerState,
};
use atode_testkit::{AclUser, RedisCluster, RedisServer, eventually_async};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::value::RawValue;
use support::{DEADLINE, HOUR, INSTANT, KIND, LEASE, TestQueue, settings, worker};

const NOW: Due = Due::After(Duration::ZERO);
const ALL: &str = "~atode:* &atode:* +@all";

/// The rules of `docs/redis-acl.md`.
fn documented() -> String {
    let document = include_str!("../../../docs/redis-acl.md");
    let rules = document.split("```").nth(1).expect("they come first");
    rules.split_whitespace().skip_while(|word| !word.starts_with('~')).collect::<Vec<_>>().join(" ")
}

fn settings_of(redis: &RedisServer, user: &str, password: &str) -> JobqueueRedis {
    let mut settings = settings(redis.port());
    settings.connection.username = Some(user.to_owned());
    settings.connection.password = Some(SecretString::from(password));
    settings
}

/// A queue whose client has these rules. The test itself has all permissions.
async fn as_user(redis: RedisServer, rules: &str) -> TestQueue {
    redis.set_user(&AclUser::new("some", rules));
    let mut test = TestQueue::on(redis).await;
    test.client = Client::open(&settings_of(&test.redis, "some", AclUser::PASSWORD)).unwrap();
    test.connected_for_the(1).await;
    test
}

async fn facts(test: &TestQueue) -> ServerFacts {
    test.client.server_facts().await.expect("Redis answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_runs_with_the_documented_permissions() {
    let redis = RedisServer::builder().appendfsync("always").start();
    let test = as_user(redis, &documented()).await;
    // Where Redis knows the command: 7.0 does not.
    let _ = test.redis.try_command(&["ACL", "SETUSER", "some", "+waitaof"]);
    let client = &test.client;
    let facts = facts(&test).await;
    assert_eq!((facts.obstacle(), facts.warnings()), (None, vec![]));

    let wakeups = client.wakeups(std::slice::from_ref(&test.queue), &atode_queue::KindSet::default());
    let next = async || tokio::time::timeout(DEADLINE, wakeups.next()).await.expect("a wake-up");
    next().await;
    let id = test.enqueue_now().await;
    next().await;
    let finished = client.watch_finish(&test.queue, id);
    let keyed = |key| NewJob { idempotency: Some(Idempotency::new("c", key, b"")), ..test.new_job(NOW) };
    assert!(client.enqueue(keyed("k")).await.unwrap().is_created());
    assert!(matches!(client.enqueue(keyed("k")).await.unwrap(), Enqueued::Duplicate(_)));
    client.enqueue_all_or_nothing(&test.queue, &[test.new_job(NOW), keyed("j")]).await.unwrap();
    let durable = NewJob { durability: Some(Durability::Fsync), ..test.new_job(NOW) };
    assert!(client.enqueue(durable).await.unwrap().is_created());

    let mut jobs = test.claim(10).await.jobs;
    assert_eq!(jobs.len(), 5);
    let references: Vec<_> = jobs.iter().map(|job| job.lease.reference()).collect();
    client.extend(&test.queue, &references, LEASE).await.unwrap();
    let first = jobs.remove(0);
    assert_eq!(first.lease.id(), id);
    test.done(first.lease.complete(HOUR, first.history)).await;
    tokio::time::timeout(DEADLINE, finished.changed()).await.expect("told that it finished");
    let dead = jobs.remove(0);
    let dead_id = dead.lease.id();
    test.done(dead.lease.bury(dead.history)).await;
    let again = jobs.remove(0);
    test.done(again.lease.retry(Duration::ZERO, again.history)).await;
    let released = jobs.remove(0);
    test.done(released.lease.release(Duration::ZERO)).await;
    let cancelled = jobs.remove(0);
    client.operate(&test.queue, KIND, cancelled.lease.id(), Operation::Cancel).await.unwrap();
    assert_eq!(test.settle(cancelled.lease.retry(HOUR, cancelled.history)).await.1, Verdict::CancelRequested);

    test.claim_for(10, INSTANT).await;
    for expired in test.until_expired(2).await {
        let reaped = Reaped { lease: expired.lease, history: expired.history, due_after: Some(HOUR) };
        assert_eq!(test.reap(reaped).await, Verdict::Done);
    }
    let waiting = test.enqueue(Due::After(HOUR)).await;
    for (id, operation) in [
        (waiting, Operation::RunNow),
        (waiting, Operation::Reschedule(Due::After(HOUR))),
        (waiting, Operation::Cancel),
        (waiting, Operation::Delete),
        (dead_id, Operation::Redrive),
    ] {
        client.operate(&test.queue, KIND, id, operation).await.unwrap();
    }
    client.pause(&test.queue).await.unwrap();
    client.resume(&test.queue).await.unwrap();
    let queues = std::slice::from_ref(&test.queue);
    for group in client.failures(queues, None, 10).await.unwrap().items {
        // It redrives only one of them, so that the next step goes on behind a job.
        client.redrive_failure(queues, group.fingerprint, 1).await.unwrap();
    }
    client.redrive_queue(&test.queue, None, 10).await.unwrap();
    client.purge(&test.queue, State::Scheduled, Some(KIND), 10).await.unwrap();
    client.queue(&test.queue).await.unwrap();
    let everything = ListQuery {
        queues: vec![],
        kinds: vec![],
        states: vec![],
        after: None,
        before: None,
        order: Order::Desc,
        error: None,
        search: Some("x".to_owned()),
        fingerprint: None,
    };
    let queues = std::slice::from_ref(&test.queue);
    client.list(&everything, queues, None, 10, &|_| HOUR).await.unwrap();
    client.facets(&everything, queues, &|_| HOUR).await.unwrap();
    call_bulks(client, everything).await;
    client.trim(&test.queue).await.unwrap();
    assert_eq!(test.state(dead_id).await, State::Ready);

    let at = Timestamp::from_millisecond(client.now()).unwrap();
    let registration = Registration {
        worker: worker(client, 1),
        kinds: vec![KIND.to_owned()],
        queues: BTreeMap::from([("default".to_owned(), 1)]),
        slots: 1,
        active: 0,
        state: WorkerState::Running,
        started_at: at,
        seen_at: at,
        http: String::new(),
    };
    let me = registration.worker.id;
    client.heartbeat(&registration, HOUR).await.unwrap();
    assert!(client.ask_worker(me, WorkerRequest::Quiet).await.unwrap());
    assert_eq!(client.workers().await.unwrap().len(), 1);
    assert_eq!(client.fates(&[me]).await.unwrap().len(), 1);
    client.unregister(me, Departure::Orderly).await.unwrap();

    test.check_invariants();
    // Neither a hint was lost nor anything else denied.
    let log = test.command(&["ACL", "LOG"]).array();
    assert!(log.is_empty(), "{log:?}");
}

async fn call_bulks(client: &Client, list: ListQuery) {
    let bulk = NewBulk {
        action: BulkAction::Cancel,
        filter: RawValue::from_string("{}".to_owned()).unwrap(),
        query: ListQuery { states: vec![State::Scheduled], search: None, ..list },
        total: None,
        idempotency: Some(Idempotency::new("", "key", b"{}")),
    };
    for _ in 0..2 {
        client.bulks().create(&bulk).await.unwrap();
    }
    let runner = BulkRunner { program: "test".to_owned(), pid: 7, build: "test".to_owned() };
    assert!(client.bulks().run_next(&runner, &|_| HOUR, &|| false).await.unwrap());
    for bulk in client.bulks().list(10).await.unwrap() {
        client.bulks().abort(bulk.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_channels_stores_jobs_once_and_learns_the_missing_rule() {
    for rules in ["~atode:* +@all", "~atode:* &atode:* +@all -publish", "~atode:* &atode:* +@all -subscribe"]
    {
        let test = as_user(RedisServer::start(), rules).await;
        let id = test.enqueue_now().await;
        let job = test.claim_one().await;
        test.done(job.lease.complete(HOUR, job.history)).await;
        assert_eq!(test.state(id).await, State::Completed);
        assert_eq!(test.count("HLEN", &test.key("jobs")), 1);
        let facts = facts(&test).await;
        assert_eq!(facts.obstacle(), None);
        let warnings = facts.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("ACL SETUSER some +") && warnings[0].contains("&atode:*"),
            "{warnings:?}"
        );

        // Blind, a sleeping worker looks again within half a second.
        let wakeups =
            test.client.wakeups(std::slice::from_ref(&test.queue), &atode_queue::KindSet::default());
        let start = Instant::now();
        for _ in 0..4 {
            tokio::time::timeout(DEADLINE, wakeups.next()).await.expect("a look");
        }
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());

        // The rule is granted while there is a connection.
        test.redis.set_user(&AclUser::new("some", ALL));
        eventually_async("it hears again", DEADLINE, async || {
            test.client.server_facts().await.ok()?.warnings().is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_info_is_served_with_a_warning() {
    let test = as_user(RedisServer::start(), "~atode:* &atode:* +@all -info").await;
    test.enqueue_now().await;
    let facts = facts(&test).await;
    assert_eq!(facts.obstacle(), None);
    assert!(
        matches!(&facts.warnings()[..], [warning] if warning.contains("+info")),
        "{:?}",
        facts.warnings()
    );
    assert!(facts.version.starts_with(|c: char| c.is_ascii_digit()), "a script tells it: {facts:?}");
}

/// Expects a refusal before anything is sent. Once granted, calls succeed on the same connection.
async fn an_obstacle_until_granted(rules: &str, word: &str) {
    let test = as_user(RedisServer::start(), rules).await;
    let error = test.client.enqueue(test.new_job(NOW)).await.unwrap_err();
    let Error::Refused { code: RefusalCode::NotPermitted, message } = &error else { panic!("{error}") };
    assert!(message.contains(word) && error.nothing_happened(), "{message}");
    assert_eq!(facts(&test).await.obstacle().as_ref(), Some(message));
    assert_eq!(test.count("EXISTS", &test.key("jobs")), 0);
    test.redis.set_user(&AclUser::new("some", ALL));
    eventually_async("it works", DEADLINE, async || test.client.enqueue(test.new_job(NOW)).await.ok()).await;
    assert_eq!(facts(&test).await.obstacle(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_cannot_store_jobs_learns_the_rule_until_it_is_granted() {
    let cases = [
        ("~atode:* &atode:* +@all -evalsha", "+evalsha"),
        ("~atode:* &atode:* +@all -eval", "+eval"),
        ("~other:* &atode:* +@all", "~atode:*"),
        ("~atode:* &atode:* +@all -zadd -hincrby", "+hincrby +zadd"),
        ("~atode:* &atode:* +@all -time", "+time"),
    ];
    let all = cases.map(|(rules, word)| an_obstacle_until_granted(rules, word));
    futures_util::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_command_is_named() {
    for (command, obstacle, warning) in
        [("EVALSHA", "EVALSHA", ""), ("HSET", "hset", ""), ("PUBLISH", "", "publish"), ("INFO", "", "info")]
    {
        // Two words are no value of an option.
        let file = std::env::temp_dir().join(format!("atode-{}-{command}.conf", std::process::id()));
        std::fs::write(&file, format!("rename-command {command} secret-name\n")).unwrap();
        let redis = RedisServer::builder().arg("include", &file.to_string_lossy()).prepare();
        redis.launch();
        let test = TestQueue::open(&redis.into(), "default");
        test.connected_for_the(1).await;
        std::fs::remove_file(&file).unwrap();
        let facts = facts(&test).await;
        let found = facts.obstacle().unwrap_or_default();
        assert!(found.contains(obstacle) && found.is_empty() == obstacle.is_empty(), "{command}: {found}");
        assert!(facts.warnings().concat().contains(warning), "{command}: {:?}", facts.warnings());
        assert_eq!(test.client.enqueue(test.new_job(NOW)).await.is_ok(), obstacle.is_empty(), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_and_a_replica_are_refused_with_a_remedy() {
    let cluster = RedisCluster::start();
    for node in cluster.nodes() {
        let client = Client::open(&settings(node.port())).unwrap();
        let mut connects = client.connection().connects();
        connects.wait_for(|connects| *connects > 0).await.unwrap();
        let obstacle = client.server_facts().await.unwrap().obstacle().expect("it holds a third of the keys");
        assert!(obstacle.contains("cluster-enabled no"), "{obstacle}");
    }
    let test = TestQueue::start().await;
    test.command(&["REPLICAOF", "127.0.0.1", "1"]);
    eventually_async("it is told", DEADLINE, async || {
        let obstacle = test.client.server_facts().await.ok()?.obstacle()?;
        obstacle.contains("is a replica").then_some(())
    })
    .await;
}
