//! A queue on a `redis-server` of its own, helpers for tests, and the check of its invariants.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_queue::{
    Claim, ClaimOptions, Claimed, Client, Due, Enqueued, Expired, Failure, FailureCause, History, JobId,
    JobView, NewJob, Reaped, Record, Run, Settled, Settlement, State, Verdict, WorkerId, WorkerRef,
};
use atode_testkit::{RedisServer, Reply, eventually_async};

pub(crate) const KIND: &str = "test:print";
pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
/// A lease that has run out by the next check.
pub(crate) const INSTANT: Duration = Duration::from_millis(1);
/// Deadline for conditions, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Snapshot = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) struct TestQueue {
    pub(crate) client: Client,
    pub(crate) queue: Arc<str>,
    pub(crate) kinds: Vec<Arc<str>>,
    pub(crate) worker: WorkerRef,
    holder: String,
    pub(crate) redis: Arc<RedisServer>,
}

impl TestQueue {
    pub(crate) async fn start() -> Self {
        Self::on(RedisServer::start()).await
    }

    pub(crate) async fn on(redis: RedisServer) -> Self {
        let redis = Arc::new(redis);
        let queue = Self::open(&redis, "default");
        queue.connected().await;
        queue
    }

    /// Another queue on the same server, with a client of its own.
    pub(crate) async fn beside(&self, queue: &str) -> Self {
        let queue = Self::open(&self.redis, queue);
        queue.connected().await;
        queue
    }

    /// Opens a client and does not wait for its connection.
    pub(crate) fn open(redis: &Arc<RedisServer>, queue: &str) -> Self {
        let client = Client::open(&settings(redis.port())).expect("its settings are valid");
        let worker = worker(&client, 1);
        TestQueue {
            client,
            queue: queue.into(),
            kinds: vec![KIND.into()],
            holder: serde_json::to_string(&worker).expect("a worker serializes"),
            worker,
            redis: redis.clone(),
        }
    }

    pub(crate) fn with_kinds(mut self, kinds: &[&str]) -> Self {
        self.kinds = kinds.iter().map(|kind| Arc::from(*kind)).collect();
        self
    }

    /// Waits for the connection, and for what the client writes after it.
    async fn connected(&self) {
        self.connected_for_the(1).await;
        eventually_async("the format is written", DEADLINE, async || {
            (self.count("EXISTS", "atode:format") == 1).then_some(())
        })
        .await;
    }

    /// Waits until the nth connection is established and counted: an earlier enqueue would announce the queue once
    /// more.
    pub(crate) async fn connected_for_the(&self, nth: u64) {
        let connects = self.client.connection().connects();
        eventually_async("a connection", DEADLINE, async || {
            (*connects.borrow() >= nth && self.client.connection().is_up()).then_some(())
        })
        .await;
    }

    // Jobs

    pub(crate) fn new_job(&self, due: Due) -> NewJob {
        self.new_job_of(&self.kinds[0], due)
    }

    pub(crate) fn new_job_of(&self, kind: &str, due: Due) -> NewJob {
        NewJob::new(self.client.new_id(), &self.queue, &kind.into(), &record("{}"), due)
    }

    pub(crate) async fn enqueue(&self, due: Due) -> JobId {
        self.enqueue_of(KIND, due).await
    }

    pub(crate) async fn enqueue_of(&self, kind: &str, due: Due) -> JobId {
        let job = self.new_job_of(kind, due);
        let id = job.id;
        assert!(self.client.enqueue(job).await.expect("stored").is_created());
        id
    }

    pub(crate) async fn enqueue_now(&self) -> JobId {
        self.enqueue(Due::After(Duration::ZERO)).await
    }

    /// Enqueues jobs; the result has the order of their ids.
    pub(crate) async fn enqueue_many(&self, n: usize, due: Due) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..n).map(|_| self.new_job(due)).collect();
        for stored in self.client.enqueue_each(&self.queue, &jobs).await {
            assert!(stored.expect("stored").is_created());
        }
        jobs.iter().map(|job| job.id).collect()
    }

    // Claims

    pub(crate) fn options(&self, limit: usize) -> ClaimOptions<'_> {
        ClaimOptions {
            queue: &self.queue,
            kinds: &self.kinds,
            limit,
            lease: LEASE,
            holder: &self.holder,
            suspects: 1,
            announcement: None,
        }
    }

    pub(crate) async fn claim(&self, limit: usize) -> Claim {
        self.client.claim(&self.options(limit)).await.expect("claimed")
    }

    pub(crate) async fn claim_for(&self, limit: usize, lease: Duration) -> Claim {
        self.client.claim(&ClaimOptions { lease, ..self.options(limit) }).await.expect("claimed")
    }

    /// Claims the only due job.
    pub(crate) async fn claim_one(&self) -> Claimed {
        one(self.claim(10).await)
    }

    /// Claims the only due job, under a lease that runs out at once.
    pub(crate) async fn claim_one_for_an_instant(&self) -> Claimed {
        one(self.claim_for(10, INSTANT).await)
    }

    // After a claim

    pub(crate) async fn settle(&self, settlement: Settlement) -> (Settlement, Verdict) {
        let mut settled = self.client.settle(vec![settlement]).await;
        assert!(settled.error.is_none(), "{:?}", settled.error);
        assert!(settled.unanswered.is_empty());
        assert_eq!(settled.answered.len(), 1);
        settled.answered.remove(0)
    }

    /// Settles, and expects the verdict Done.
    pub(crate) async fn done(&self, settlement: Settlement) {
        assert_eq!(self.settle(settlement).await.1, Verdict::Done);
    }

    pub(crate) async fn expired(&self) -> Vec<Expired> {
        self.client.expired(&self.queue, LEASE).await.expect("looked").jobs
    }

    /// Waits until `n` leases have run out.
    pub(crate) async fn until_expired(&self, n: usize) -> Vec<Expired> {
        eventually_async("leases run out", DEADLINE, async || {
            Some(self.expired().await).filter(|expired| expired.len() == n)
        })
        .await
    }

    /// Ends the attempts of 8 due jobs: 3 complete, 2 are retried, 1 is buried. The leases of 2 run out; one of these
    /// is buried, and one retried. Returns the answers to the settlements.
    pub(crate) async fn end_eight(&self) -> Settled {
        let jobs = self.claim(6).await.jobs.into_iter().enumerate();
        let settlements = jobs.map(|(n, job)| match n {
            0..3 => job.lease.complete(HOUR, job.history),
            3 | 4 => job.lease.retry(HOUR, job.history),
            _ => job.lease.bury(job.history),
        });
        let settled = self.client.settle(settlements.collect()).await;
        assert!(settled.error.is_none(), "{:?}", settled.error);
        self.claim_for(2, INSTANT).await;
        let expired = self.until_expired(2).await.into_iter().zip([None, Some(HOUR)]);
        let reaped =
            expired.map(|(job, due_after)| Reaped { lease: job.lease, history: job.history, due_after });
        self.client.reap(&self.queue, &reaped.collect::<Vec<_>>()).await.expect("answered");
        settled
    }

    pub(crate) async fn reap(&self, job: Reaped) -> Verdict {
        self.client.reap(&self.queue, &[job]).await.expect("answered").remove(0)
    }

    pub(crate) fn run(&self, claimed: &Claimed, started: i64) -> Run {
        Run {
            attempt: claimed.history.next_attempt(),
            due: claimed.due,
            started,
            worker: Arc::new(self.worker.clone()),
            trace: None,
        }
    }

    // Looks

    pub(crate) async fn job(&self, id: JobId) -> JobView {
        self.find(id).await.expect("the job is known")
    }

    pub(crate) async fn find(&self, id: JobId) -> Option<JobView> {
        self.client.job(std::slice::from_ref(&self.queue), id).await.expect("looked")
    }

    pub(crate) async fn state(&self, id: JobId) -> State {
        self.job(id).await.state.expect("the job is in a set")
    }

    /// The key `jobs`, `active`, `fence`, …
    pub(crate) fn key(&self, name: &str) -> String {
        format!("atode:{{{}}}:{name}", self.queue)
    }

    /// The set `due`, `lease`, `done`, …
    pub(crate) fn set(&self, set: &str) -> String {
        self.set_of(KIND, set)
    }

    pub(crate) fn set_of(&self, kind: &str, set: &str) -> String {
        self.key(&format!("{kind}:{set}"))
    }

    pub(crate) fn command(&self, words: &[&str]) -> Reply {
        self.redis.command(words)
    }

    pub(crate) fn count(&self, command: &str, key: &str) -> i64 {
        self.command(&[command, key]).int()
    }

    pub(crate) fn score(&self, set: &str, id: JobId) -> Option<i64> {
        let score = self.command(&["ZSCORE", &self.set(set), &id.short()]);
        (!score.is_null()).then(|| score.text().parse().expect("whole milliseconds"))
    }

    /// Redis' clock, Unix ms.
    pub(crate) fn now(&self) -> i64 {
        let time = self.command(&["TIME"]).texts();
        let number = |n: usize| time[n].parse::<i64>().expect("a number");
        number(0) * 1_000 + number(1) / 1_000
    }

    /// Everything that is stored: key → member or field → score or value.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let content = |key: &str| match &*self.command(&["TYPE", key]).text() {
            "hash" => pairs(self.command(&["HGETALL", key])),
            "zset" => pairs(self.command(&["ZRANGE", key, "0", "-1", "WITHSCORES"])),
            "set" => self
                .command(&["SMEMBERS", key])
                .texts()
                .into_iter()
                .map(|member| (member, String::new()))
                .collect(),
            _ => BTreeMap::from([(String::new(), self.command(&["GET", key]).text())]),
        };
        let keys = self.command(&["KEYS", "*"]).texts();
        keys.into_iter().map(|key| (key.clone(), content(&key))).collect()
    }

    #[track_caller]
    pub(crate) fn check_unchanged(&self, since: &Snapshot) {
        let now = self.snapshot();
        for key in since.keys().chain(now.keys()) {
            assert_eq!(since.get(key), now.get(key), "{key} has changed");
        }
    }

    /// Checks that each id is in one set and has a record, and the consequences. Nothing else may use the queue.
    #[track_caller]
    pub(crate) fn check_invariants(&self) {
        let base = self.key("");
        let mut sets: BTreeMap<String, &str> = BTreeMap::new();
        let mut kinds = BTreeSet::new();
        for key in self.command(&["KEYS", &format!("{base}*")]).texts() {
            let name = key.strip_prefix(&base).expect("asked for it");
            let Some((kind, set)) = name.rsplit_once(':') else { continue };
            if set == "failures" {
                continue; // see below
            }
            let Some(set) = ["due", "lease", "done", "cancelled", "dead"].into_iter().find(|s| *s == set)
            else {
                assert_eq!(kind, "idem", "an unknown key: {key}");
                assert!(self.count("PTTL", &key) > 0, "{key} never expires");
                continue;
            };
            kinds.insert(kind.to_owned());
            for id in self.command(&["ZRANGE", &key, "0", "-1"]).texts() {
                if let Some(other) = sets.insert(id.clone(), set) {
                    panic!("{id} is in {other} and in {set}");
                }
            }
        }
        let fields = |name| self.command(&["HKEYS", &self.key(name)]).texts().into_iter();
        let jobs: BTreeSet<String> = fields("jobs").collect();
        let in_sets: BTreeSet<String> = sets.keys().cloned().collect();
        assert_eq!(jobs, in_sets, "records and sets differ");
        let active: BTreeSet<String> = fields("active").collect();
        let leased: BTreeSet<String> =
            sets.iter().filter(|(_, set)| **set == "lease").map(|(id, _)| id.clone()).collect();
        assert_eq!(active, leased, "entries of active and leases differ");
        let without_job: Vec<String> = fields("state").filter(|id| !jobs.contains(id)).collect();
        assert!(without_job.is_empty(), "state without a job: {without_job:?}");
        let known: BTreeSet<String> =
            self.command(&["SMEMBERS", &self.key("kinds")]).texts().into_iter().collect();
        assert!(kinds.is_subset(&known), "{kinds:?} have sets, but {known:?} are known");
        for kind in &kinds {
            self.check_groups(kind);
        }
    }

    /// Checks that each group of dead jobs counts the dead jobs whose state has its fingerprint.
    #[track_caller]
    pub(crate) fn check_groups(&self, kind: &str) {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for id in self.command(&["ZRANGE", &self.set_of(kind, "dead"), "0", "-1"]).texts() {
            let state = self.command(&["HGET", &self.key("state"), &id]);
            let state = if state.is_null() { String::new() } else { state.text() };
            if let Some((_, end)) = state.rsplit_once(r#","fp":""#) {
                *counted.entry(end.trim_end_matches("\"}").to_owned()).or_default() += 1;
            }
        }
        let groups = pairs(self.command(&["HGETALL", &self.set_of(kind, "failures")]));
        let count = |value: &str| value.split(' ').next().unwrap_or_default().parse().expect("a number");
        let groups: BTreeMap<String, u64> = groups
            .into_iter()
            .map(|(fingerprint, value)| (fingerprint, count(&value)))
            .filter(|(_, count)| *count > 0) // only the place of a redrive
            .collect();
        assert_eq!(groups, counted, "the groups of {kind}, and the dead jobs with their fingerprints");
    }
}

fn pairs(reply: Reply) -> BTreeMap<String, String> {
    let words = reply.texts();
    words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn one(mut claim: Claim) -> Claimed {
    assert_eq!(claim.jobs.len(), 1, "{claim:?}");
    claim.jobs.remove(0)
}

pub(crate) fn settings(port: u16) -> JobqueueRedis {
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port };
    JobqueueRedis { endpoint, ..JobqueueRedis::default() }
}

pub(crate) fn worker(client: &Client, pid: u32) -> WorkerRef {
    let id = WorkerId::new(client.now());
    WorkerRef { id, host: "a host".to_owned(), pid, build: "0.1.0+test".to_owned() }
}

pub(crate) fn record(payload: &str) -> Record<'_> {
    Record::new(serde_json::from_str(payload).expect("JSON"))
}

/// The history with one more failure.
pub(crate) fn failed(history: &History, cause: FailureCause, error: &str, run: Run) -> History {
    let finished = run.started + 5;
    history.clone().with_failure(Failure::new(cause, error, run, finished))
}

/// An answer without its time, for comparison.
pub(crate) fn timeless(answer: Enqueued) -> Enqueued {
    if answer.is_created() { CREATED } else { answer }
}

pub(crate) const CREATED: Enqueued = Enqueued::Created { at: 0 };

pub(crate) fn ids(jobs: &[Claimed]) -> Vec<JobId> {
    jobs.iter().map(|job| job.lease.id()).collect()
}
