//! A Redis with many jobs in each state, and the ids of some of them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_jobs::{Definition, PublishedKind};
use atode_queue::{
    ClaimOptions, Claimed, Client, Due, Failure, FailureCause, JobId, NewJob, Operation, Publication,
    PublishedAs, Publishing, Record, Registration, Run, Settlement, Verdict, WorkerId, WorkerRef,
    WorkerState,
};
use atode_testkit::{RedisServer, eventually};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use crate::support::{DEADLINE, KIND};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: i64 = 60 * 60 * 1_000;
/// Causes of death.
const CAUSES: usize = 20;
/// Jobs per call.
const BATCH: usize = 1_000;

pub(crate) struct World {
    client: Client,
    runtime: Runtime,
    queue: Arc<str>,
    kind: Arc<str>,
    worker: WorkerRef,
    /// Jobs that no operation has taken yet.
    waiting: RefCell<Vec<JobId>>,
    dead: RefCell<Vec<JobId>>,
    active: RefCell<Vec<JobId>>,
    completed: RefCell<Vec<JobId>>,
}

impl World {
    pub(crate) fn on(redis: &RedisServer) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port: redis.port() };
        let settings = JobqueueRedis { endpoint, ..JobqueueRedis::default() };
        let client = runtime.block_on(async { Client::open(&settings) }).expect("its settings are valid");
        eventually("a connection", DEADLINE, || (*client.connection().connects().borrow() > 0).then_some(()));
        let worker = WorkerRef {
            id: WorkerId::new(client.now()),
            host: "h".to_owned(),
            pid: 7,
            build: "0.1.0+test".to_owned(),
        };
        let world = World {
            client,
            runtime,
            queue: "default".into(),
            kind: KIND.into(),
            worker,
            waiting: RefCell::default(),
            dead: RefCell::default(),
            active: RefCell::default(),
            completed: RefCell::default(),
        };
        world.register();
        world.publish();
        let active: Vec<JobId> = world.claim_new(100).iter().map(|job| job.lease.id()).collect();
        world.active.borrow_mut().extend(active);
        world.end(200, |job, _| job.lease.complete(DAY, job.history));
        world.completed.borrow_mut().extend(world.end(200, |job, _| job.lease.complete(DAY, job.history)));
        for id in world.enqueue(50, |_| Due::After(DAY)) {
            let cancel = world.client.operate("default", KIND, id, Operation::Cancel);
            world.runtime.block_on(cancel).expect("cancelled");
        }
        world
    }

    /// Adds jobs. A tenth of those that wait is due, and some share their due time.
    pub(crate) fn add(&self, waiting: usize, dead: usize) {
        let now = self.client.now();
        for _ in 0..dead / BATCH {
            let ended = self.end(BATCH, |job, n| {
                let (run, finished) = (self.run(), self.client.now());
                let error = format!("cause {} of many", cause(n));
                let failure = Failure::new(FailureCause::Permanent, &error, run, finished);
                job.lease.bury(job.history.with_failure(failure))
            });
            self.dead.borrow_mut().extend(ended);
        }
        for _ in 0..waiting / BATCH {
            let due = |n: usize| {
                Due::At(if n.is_multiple_of(10) { now - 1_000 } else { now + HOUR + n as i64 / 3 })
            };
            self.waiting.borrow_mut().extend(self.enqueue(BATCH, due));
        }
    }

    /// The path with the id of a job or a worker in place of each name in braces. A job is taken only once.
    pub(crate) fn fill(&self, path: &str) -> String {
        let take = |jobs: &RefCell<Vec<JobId>>| jobs.borrow_mut().pop().expect("enough jobs").to_string();
        let mut path = path.to_owned();
        for (name, jobs) in [
            ("{waiting}", &self.waiting),
            ("{dead}", &self.dead),
            ("{active}", &self.active),
            ("{completed}", &self.completed),
        ] {
            if path.contains(name) {
                path = path.replace(name, &take(jobs));
            }
        }
        path.replace("{worker}", &self.worker.id.to_string())
    }

    fn register(&self) {
        let registration = Registration {
            worker: self.worker.clone(),
            kinds: vec![KIND.to_owned()],
            queues: [("default".to_owned(), 1)].into(),
            slots: 64,
            active: 0,
            state: WorkerState::Running,
            started_at: Timestamp::UNIX_EPOCH,
            seen_at: Timestamp::UNIX_EPOCH,
            http: String::new(),
        };
        self.runtime.block_on(self.client.heartbeat(&registration, DAY)).expect("registered");
    }

    /// Puts the kind into the catalogue.
    fn publish(&self) {
        let registry = atode_jobs::registry().expect("one kind of each name");
        let kind = registry.get(KIND).expect("the kind is compiled in");
        let published = PublishedKind {
            definition: Definition::of(kind),
            build: self.worker.build.clone(),
            worker: self.worker.id,
            started_at: self.client.now(),
        };
        let publication = Publication {
            kind: self.kind.clone(),
            seen: 0,
            definition: published.encode().into(),
            place: PublishedAs::Current,
        };
        let done = self.runtime.block_on(self.client.published_kinds().publish(&[publication]));
        assert_eq!(done.expect("published"), [Publishing::Done]);
    }

    fn enqueue(&self, jobs: usize, due: impl Fn(usize) -> Due) -> Vec<JobId> {
        let payload = RawValue::from_string(r#"{"message":"Hello"}"#.to_owned()).expect("JSON");
        let new =
            |n| NewJob::new(self.client.new_id(), &self.queue, &self.kind, &Record::new(&payload), due(n));
        let jobs: Vec<NewJob> = (0..jobs).map(new).collect();
        for stored in self.runtime.block_on(self.client.enqueue_each("default", &jobs)) {
            assert!(stored.expect("stored").is_created());
        }
        jobs.iter().map(|job| job.id).collect()
    }

    /// Enqueues jobs and claims them. Nothing else may be due.
    fn claim_new(&self, jobs: usize) -> Vec<Claimed> {
        // Before all other jobs that are due.
        self.enqueue(jobs, |_| Due::At(1));
        let holder = serde_json::to_string(&self.worker).expect("a worker serializes");
        let options = |limit| ClaimOptions {
            queue: &self.queue,
            kinds: std::slice::from_ref(&self.kind),
            limit,
            lease: DAY,
            holder: &holder,
            suspects: 1,
            announcement: None,
        };
        let mut claimed = Vec::new();
        while claimed.len() < jobs {
            let options = options(jobs - claimed.len());
            claimed.extend(self.runtime.block_on(self.client.claim(&options)).expect("claimed").jobs);
        }
        claimed
    }

    fn end(&self, jobs: usize, settle: impl Fn(Claimed, usize) -> Settlement) -> Vec<JobId> {
        let claimed = self.claim_new(jobs).into_iter().enumerate();
        let settlements = claimed.map(|(n, job)| settle(job, n)).collect();
        let settled = self.runtime.block_on(self.client.settle(settlements));
        assert_eq!(settled.answered.len(), jobs, "{:?}", settled.error);
        settled
            .answered
            .iter()
            .inspect(|(_, verdict)| assert_eq!(*verdict, Verdict::Done))
            .map(|(settlement, _)| settlement.lease().id())
            .collect()
    }

    fn run(&self) -> Run {
        let now = self.client.now();
        Run::new(1, now - 10, now - 5, Arc::new(self.worker.clone()))
    }
}

/// A word per cause, because numbers are left out of fingerprints.
fn cause(n: usize) -> char {
    char::from(b'a' + (n % CAUSES) as u8)
}
