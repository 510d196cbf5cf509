//! A test's own Redis, workers in this process and in others, job kinds with scripted behavior, and a ledger of
//! their runs outside Redis.

#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

mod child;
mod kinds;
mod ledger;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_jobs::Registry;
use atode_queue::{
    Client, Counts, Due, Enqueued, FailureCause, JobId, JobView, NewJob, Record, Registration, State,
};
use atode_testkit::{RedisServer, eventually};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use worker::Settings;

pub(crate) use child::{Child, child_worker};
pub(crate) use kinds::{
    Act, BlockingTask, Brief, BriefBlocking, EarlyPanic, Killer, Other, Task, registry, registry_without_jobs,
};
pub(crate) use ledger::{Entry, Event};

/// Deadline of every wait, generous enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const QUEUE: &str = "default";
pub(crate) const NOW: Due = Due::After(Duration::ZERO);

/// Settings of a worker. The lease is so long that nothing is recovered unless a test shortens it.
pub(crate) fn settings() -> Settings {
    Settings {
        port: 0,
        concurrency: 8,
        queues: Some(BTreeMap::from([(QUEUE.to_owned(), 1)])),
        shutdown_timeout: Duration::from_secs(10),
        ..Settings::default()
    }
}

pub(crate) struct Fixture {
    pub(crate) redis: RedisServer,
    pub(crate) client: Client,
    runtime: Runtime,
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::on(RedisServer::start())
    }

    /// Uses this server, which may be down.
    pub(crate) fn on(redis: RedisServer) -> Self {
        // If a test fails, libtest shows the log of the workers in this process.
        let log = tracing_subscriber::fmt().with_test_writer().with_ansi(false);
        let _ = tracing::subscriber::set_global_default(log.finish());
        let runtime = Runtime::new().expect("a runtime");
        let client = runtime.block_on(async { Client::open(&redis_settings(redis.port())) });
        let dir = tempfile::Builder::new().prefix("atode-worker-").tempdir().expect("a temporary folder");
        let fixture = Fixture { client: client.expect("its settings are valid"), redis, runtime, dir };
        if fixture.redis.try_command(&["PING"]).is_ok() {
            fixture.until_connected();
        }
        fixture
    }

    pub(crate) fn until_connected(&self) {
        eventually("a connection", DEADLINE, || {
            (*self.client.connection().connects().borrow() > 0).then_some(())
        });
    }

    // Workers

    /// A worker in this process.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_with(settings(), registry())
    }

    pub(crate) fn worker_with(&self, settings: Settings, registry: Registry) -> Worker {
        Self::worker_at(self.redis.port(), settings, registry)
    }

    pub(crate) fn worker_of_build(&self, build: &'static str, registry: Registry) -> Worker {
        Self::start_worker(self.redis.port(), build, settings(), registry)
    }

    /// A worker that finds Redis at this port.
    pub(crate) fn worker_at(port: u16, settings: Settings, registry: Registry) -> Worker {
        Self::start_worker(port, "test", settings, registry)
    }

    fn start_worker(port: u16, build: &'static str, settings: Settings, registry: Registry) -> Worker {
        let stop = CancellationToken::new();
        let redis = redis_settings(port);
        let stopped = stop.clone();
        // The same steps as in the binary.
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            let ended = runtime.block_on(async {
                let client = Client::open(&redis)?;
                worker::run(settings, build, registry, client, stopped).await
            });
            runtime.shutdown_background();
            ended
        });
        Worker { stop, thread: Some(thread) }
    }

    /// A worker in its own process, which can be paused and killed.
    pub(crate) fn child(&self, settings: &Settings) -> Child {
        Child::start(self.redis.port(), settings)
    }

    /// Waits until this many workers are registered, and returns them.
    pub(crate) fn until_registered(&self, workers: usize) -> Vec<Registration> {
        eventually(&format!("{workers} registrations"), DEADLINE, || {
            self.wait(self.client.workers()).ok().filter(|live| live.len() == workers)
        })
    }

    // Jobs

    pub(crate) fn enqueue(&self, kind: &str, act: Act) -> JobId {
        self.enqueue_in(Duration::ZERO, kind, act)
    }

    pub(crate) fn enqueue_in(&self, delay: Duration, kind: &str, act: Act) -> JobId {
        self.store(QUEUE, kind, &self.payload(act), Due::After(delay), None)
    }

    pub(crate) fn enqueue_to(&self, queue: &str, kind: &str, act: Act) -> JobId {
        self.store(queue, kind, &self.payload(act), NOW, None)
    }

    /// Enqueues many jobs that are due at once.
    pub(crate) fn enqueue_many(&self, jobs: usize, kind: &str, act: Act) -> Vec<JobId> {
        let payload = self.payload(act);
        let jobs: Vec<NewJob> = (0..jobs).map(|_| self.new_job(QUEUE, kind, &payload, NOW, None)).collect();
        for stored in self.wait(self.client.enqueue_each(QUEUE, &jobs)) {
            assert!(stored.expect("stored").is_created());
        }
        jobs.iter().map(|job| job.id).collect()
    }

    pub(crate) fn store(
        &self,
        queue: &str,
        kind: &str,
        payload: &str,
        due: Due,
        max_retries: Option<u32>,
    ) -> JobId {
        let job = self.new_job(queue, kind, payload, due, max_retries);
        let id = job.id;
        assert!(self.wait(self.client.enqueue(job)).expect("stored").is_created());
        id
    }

    fn new_job(&self, queue: &str, kind: &str, payload: &str, due: Due, max_retries: Option<u32>) -> NewJob {
        let payload: &RawValue = serde_json::from_str(payload).expect("JSON");
        let record = Record { max_retries, ..Record::new(payload) };
        NewJob::new(self.client.new_id(), &queue.into(), &kind.into(), &record, due)
    }

    /// Enqueues jobs that are due now, with payloads of this size.
    pub(crate) fn enqueue_large(&self, jobs: usize, bytes: usize, kind: &str, act: Act) -> Vec<JobId> {
        let payload = serde_json::json!({"dir": self.dir.path(), "act": act, "ballast": "x".repeat(bytes)});
        (0..jobs).map(|_| self.store(QUEUE, kind, &payload.to_string(), NOW, None)).collect()
    }

    /// Opens the gate that handlers wait for.
    pub(crate) fn open_gate(&self) {
        std::fs::write(self.dir.path().join(kinds::GATE), "").expect("the gate");
    }

    // State

    pub(crate) fn job(&self, id: JobId) -> JobView {
        self.job_in(QUEUE, id)
    }

    pub(crate) fn job_in(&self, queue: &str, id: JobId) -> JobView {
        let found = self.wait(self.client.job(&[Arc::from(queue)], id));
        found.expect("looked").expect("the job is known")
    }

    #[track_caller]
    pub(crate) fn until(&self, id: JobId, state: State) -> JobView {
        self.until_in(QUEUE, id, state)
    }

    #[track_caller]
    pub(crate) fn until_in(&self, queue: &str, id: JobId, state: State) -> JobView {
        let what = format!("job {id} is {state:?}");
        eventually(&what, DEADLINE, || Some(self.job_in(queue, id)).filter(|job| job.state == Some(state)))
    }

    #[track_caller]
    pub(crate) fn until_counts(&self, what: &str, condition: impl Fn(&Counts) -> bool) {
        eventually(what, DEADLINE, || {
            let queue = self.wait(self.client.queue(QUEUE)).expect("looked");
            condition(&queue.counts).then_some(())
        });
    }

    pub(crate) fn ledger(&self) -> Vec<Entry> {
        ledger::read(self.dir.path())
    }

    /// Starts of a job, in order.
    pub(crate) fn starts(&self, id: JobId) -> Vec<Entry> {
        self.ledger().into_iter().filter(|entry| entry.id == id && entry.event == Event::Start).collect()
    }

    /// The `n`-th start of a job, counted from 1.
    #[track_caller]
    pub(crate) fn until_started(&self, id: JobId, n: usize) -> Entry {
        eventually(&format!("start {n} of job {id}"), DEADLINE, || self.starts(id).into_iter().nth(n - 1))
    }

    #[track_caller]
    pub(crate) fn until_event(&self, id: JobId, event: Event) -> Entry {
        eventually(&format!("{event:?} of job {id}"), DEADLINE, || {
            self.ledger().into_iter().find(|entry| entry.id == id && entry.event == event)
        })
    }

    /// Makes all waiting jobs of a kind due now, and wakes the workers.
    pub(crate) fn hurry(&self, kind: &str) {
        let due = format!("atode:{{{QUEUE}}}:{kind}:due");
        for id in self.redis.command(&["ZRANGE", &due, "0", "-1"]).texts() {
            self.redis.command(&["ZADD", &due, "XX", "1", &id]);
        }
        self.redis.command(&["PUBLISH", &format!("atode:{{{QUEUE}}}:wake"), "1"]);
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn payload(&self, act: Act) -> String {
        serde_json::json!({"dir": self.dir.path(), "act": act}).to_string()
    }
}

/// A worker on threads of this process. Dropping it stops the worker.
pub(crate) struct Worker {
    stop: CancellationToken,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Worker {
    /// Stops the worker and waits for its end.
    pub(crate) fn stop(mut self) {
        self.stop.cancel();
        let thread = self.thread.take().expect("not stopped yet");
        eventually("the worker stops", DEADLINE, || thread.is_finished().then_some(()));
        thread.join().expect("no panic").expect("an orderly end");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Causes of the failed runs.
pub(crate) fn causes(job: &JobView) -> Vec<FailureCause> {
    job.attempts.iter().map(|attempt| attempt.cause).collect()
}

pub(crate) fn redis_settings(port: u16) -> JobqueueRedis {
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port };
    JobqueueRedis { endpoint, ..JobqueueRedis::default() }
}
