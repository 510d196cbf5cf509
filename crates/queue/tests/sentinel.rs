//! The queue on a Redis under Sentinel: after any failure of the master the client finds the next one unaided.
//!
//! Replication is asynchronous: an answered job is lost if its master dies before the replica has it. So a test that
//! counts jobs waits for the replica before the kill.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_queue::{
    ClaimOptions, Claimed, Client, Due, Error, JobId, KindSet, NewJob, Settlement, Verdict, Wakeups,
};
use atode_testkit::{RedisSentinel, RedisServer, eventually_async};
use support::{HOUR, KIND, LEASE};

const NOW: Due = Due::After(Duration::ZERO);
/// A failover takes some seconds, more if it is repeated.
const DEADLINE: Duration = Duration::from_secs(60);

struct Stand {
    redis: RedisSentinel,
    client: Client,
    queue: Arc<str>,
    holder: String,
}

impl Stand {
    async fn start() -> Self {
        let stand = Self::open(RedisSentinel::start());
        stand.until_enqueued().await;
        stand.claim_all().await;
        stand
    }

    /// Without waiting for a connection.
    fn open(redis: RedisSentinel) -> Self {
        let addrs = redis.addrs().iter().map(|addr| addr.parse().expect("an address")).collect();
        let endpoint = Endpoint::Sentinel { master: RedisSentinel::MASTER.to_owned(), addrs };
        let client = Client::open(&JobqueueRedis { endpoint, ..JobqueueRedis::default() });
        let client = client.expect("its settings are valid");
        let holder = serde_json::to_string(&support::worker(&client, 1)).expect("a worker serializes");
        Stand { redis, client, queue: "default".into(), holder }
    }

    async fn enqueue(&self, due: Due) -> Result<JobId, Error> {
        let record = support::record("{}");
        let job = NewJob::new(self.client.new_id(), &self.queue, &KIND.into(), &record, due);
        let id = job.id;
        self.client.enqueue(job).await.map(|_| id)
    }

    /// Repeats an enqueue until it succeeds.
    async fn until_enqueued(&self) -> JobId {
        eventually_async("an enqueue works", DEADLINE, async || {
            let start = Instant::now();
            let answer = self.enqueue(NOW).await;
            assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
            answer.ok()
        })
        .await
    }

    /// Claims, completes and returns the due jobs.
    async fn claim_all(&self) -> Vec<JobId> {
        let kinds = [KIND.into()];
        let options = ClaimOptions {
            queue: &self.queue,
            kinds: &kinds,
            limit: 100,
            lease: LEASE,
            holder: &self.holder,
            suspects: 1,
            announcement: None,
        };
        let jobs = self.client.claim(&options).await.expect("claimed").jobs;
        let ids = support::ids(&jobs);
        let complete = |job: Claimed| -> Settlement { job.lease.complete(HOUR, job.history) };
        let settled = self.client.settle(jobs.into_iter().map(complete).collect()).await;
        assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done), "{settled:?}");
        assert_eq!(settled.answered.len(), ids.len());
        ids
    }

    /// Waits for a wake-up that was published after the call.
    async fn until_woken(&self, wakeups: &Wakeups) {
        let mut due = 1_000_000;
        eventually_async("a wake-up", DEADLINE, async || {
            due -= 1; // or it would be no news
            self.enqueue(Due::At(due)).await.ok()?;
            let woken = tokio::time::timeout(Duration::from_millis(200), wakeups.next()).await;
            woken.is_ok_and(|woken| woken.due == Some(due)).then_some(())
        })
        .await;
    }

    /// Checks all calls of a client on this master.
    async fn works_on(&self, master: &RedisServer, wakeups: &Wakeups) {
        let id = self.until_enqueued().await;
        assert!(
            !master.command(&["HGET", "atode:{default}:jobs", &id.short()]).is_null(),
            "{id} is elsewhere"
        );
        self.until_woken(wakeups).await;
        assert!(self.claim_all().await.contains(&id));
        let facts = self.client.server_facts().await.expect("ready");
        let info = master.command(&["INFO", "server"]).text();
        assert!(info.contains(&format!("run_id:{}", facts.run_id)), "ready, but by another server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_is_followed_by_its_replica_and_a_client_follows_unaided() {
    let stand = Stand::start().await;
    let wakeups = stand.client.wakeups(std::slice::from_ref(&stand.queue), &KindSet::default());
    stand.until_woken(&wakeups).await;
    stand.claim_all().await;
    let before = stand.enqueue(NOW).await.expect("stored");
    stand.redis.wait_until_in_step();

    let first = stand.redis.kill_master();
    let start = Instant::now();
    let id = stand.until_enqueued().await;
    println!("stored again {:?} after the kill", start.elapsed());
    let mut claimed = stand.claim_all().await;
    claimed.sort_unstable();
    assert_eq!(claimed, [before, id]);
    let second = stand.redis.wait_for_another_master(first);
    stand.works_on(second, &wakeups).await;

    // And back: what was the master is the replica that takes over.
    first.restart();
    stand.redis.make_replica(first);
    stand.works_on(second, &wakeups).await;
    stand.redis.wait_until_in_step();
    stand.redis.kill_master();
    stand.redis.wait_for_another_master(second);
    stand.works_on(first, &wakeups).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_master_is_left_for_its_replica_and_is_not_listened_to_when_it_wakes() {
    let stand = Stand::start().await;
    let wakeups = stand.client.wakeups(std::slice::from_ref(&stand.queue), &KindSet::default());
    let first = stand.redis.master();
    stand.redis.wait_until_in_step();
    first.pause();
    let second = stand.redis.wait_for_another_master(first);
    stand.works_on(second, &wakeups).await;
    first.resume();
    stand.redis.make_replica(first);
    stand.works_on(second, &wakeups).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_says_it_is_read_only_is_left_though_its_connections_stand() {
    let stand = Stand::start().await;
    let wakeups = stand.client.wakeups(std::slice::from_ref(&stand.queue), &KindSet::default());
    stand.until_woken(&wakeups).await;
    stand.claim_all().await;
    let (first, second) = (stand.redis.master(), stand.redis.replica());
    stand.redis.wait_until_in_step();
    // Sentinels would close the connections of a master that they depose.
    let port = second.port().to_string();
    for sentinel in stand.redis.sentinels() {
        sentinel.command(&["SENTINEL", "REMOVE", RedisSentinel::MASTER]);
    }
    second.command(&["REPLICAOF", "NO", "ONE"]);
    first.command(&["REPLICAOF", "127.0.0.1", &port]);
    for sentinel in stand.redis.sentinels() {
        sentinel.command(&["SENTINEL", "MONITOR", RedisSentinel::MASTER, "127.0.0.1", &port, "2"]);
    }
    let error = stand.enqueue(NOW).await.expect_err("read-only");
    assert!(matches!(error, Error::Refused { code: atode_queue::RefusalCode::ReadOnly, .. }), "{error:?}");
    stand.works_on(second, &wakeups).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_starts_while_no_master_is_there_waits_for_the_next() {
    let redis = RedisSentinel::start();
    let killed = redis.kill_master().addr();
    let stand = Stand::open(redis);
    let wakeups = stand.client.wakeups(std::slice::from_ref(&stand.queue), &KindSet::default());
    let start = Instant::now();
    let error = stand.enqueue(NOW).await.expect_err("nobody there");
    assert!(error.nothing_happened() && start.elapsed() < Duration::from_secs(1), "{error:?}");
    stand.until_enqueued().await;
    let master = stand.redis.master();
    assert_ne!(master.addr(), killed);
    stand.works_on(master, &wakeups).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_finds_the_master_by_whichever_sentinel_is_left() {
    let stand = Stand::start().await;
    let wakeups = stand.client.wakeups(std::slice::from_ref(&stand.queue), &KindSet::default());
    for left in 0..stand.redis.sentinels().len() {
        let others = || stand.redis.sentinels().iter().enumerate().filter(move |(n, _)| *n != left);
        others().for_each(|(_, sentinel)| sentinel.kill());
        // One alone puts no other in its place.
        let master = stand.redis.master();
        master.restart();
        stand.works_on(master, &wakeups).await;
        others().for_each(|(_, sentinel)| sentinel.restart());
    }
}
