//! What each measurement stands on: a Redis, a client, no-op kinds, a worker.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_jobs::{Job, JobContext, JobError, Registry};
use atode_queue::{Client, Due, NewJob, Record};
use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::Settings;

use crate::noted::Payload;

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Where all jobs go.
pub(crate) const QUEUE: &str = "default";

/// For a worker within this process: a handler that does nothing but count.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Counted(Payload);

impl Job for Counted {
    const KIND: &'static str = "bench:counted";
    const RETENTION: Duration = Duration::ZERO;

    async fn run(self, _: JobContext) -> Result<(), JobError> {
        RUNS.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

pub(crate) struct Stand {
    pub(crate) redis: RedisServer,
    pub(crate) client: Client,
    pub(crate) queue: Arc<str>,
}

impl Stand {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::on(RedisServer::start()).await
    }

    pub(crate) async fn on(redis: RedisServer) -> anyhow::Result<Self> {
        let client = client_of(redis.port()).await?;
        RUNS.store(0, Ordering::Relaxed);
        Ok(Stand { redis, client, queue: QUEUE.into() })
    }

    pub(crate) fn job(&self, kind: &Arc<str>, due: Due) -> anyhow::Result<NewJob> {
        job_of(&self.client, &self.queue, kind, PAYLOAD, due)
    }

    /// A worker with a client of its own, until the token is cancelled.
    pub(crate) fn worker(
        &self,
        concurrency: usize,
    ) -> anyhow::Result<(CancellationToken, JoinHandle<anyhow::Result<()>>)> {
        let mut registry = Registry::default();
        registry.register::<Counted>()?;
        let stop = CancellationToken::new();
        let client = Client::open(&redis_at(self.redis.port()))?;
        let settings = settings(concurrency, &self.queue);
        Ok((stop.clone(), tokio::spawn(worker::run(settings, registry, client, stop))))
    }

    pub(crate) fn runs() -> usize {
        RUNS.load(Ordering::Relaxed)
    }

    /// As [`redis_cpu`].
    pub(crate) fn redis_cpu(&self) -> f64 {
        redis_cpu(&self.redis)
    }

    pub(crate) fn redis_memory(&self) -> i64 {
        redis_memory(&self.redis)
    }

    /// In this process every job ran once, and nothing is left.
    pub(crate) async fn check(&self, jobs: usize) -> anyhow::Result<()> {
        anyhow::ensure!(Stand::runs() == jobs, "{} runs of {jobs} jobs", Stand::runs());
        self.check_waiting(0).await
    }

    /// Only these wait, none is due, active or dead, and an audit finds nothing.
    pub(crate) async fn check_waiting(&self, jobs: usize) -> anyhow::Result<()> {
        let counts = self.client.queue(&self.queue).await?.counts;
        anyhow::ensure!(
            counts.scheduled == jobs as u64 && counts.ready + counts.active + counts.dead == 0,
            "{jobs} jobs should wait, and nothing else be left: {counts:?}"
        );
        audit(&self.client).await
    }
}

/// An error if what is stored does not fit together.
pub(crate) async fn audit(client: &Client) -> anyhow::Result<()> {
    let audit = client.audit(None).await?;
    anyhow::ensure!(
        audit.findings.is_empty(),
        "the audit finds {}: {:?}",
        audit.findings.len(),
        audit.findings[0]
    );
    Ok(())
}

/// CPU that Redis' main thread has used, µs.
pub(crate) fn redis_cpu(redis: &RedisServer) -> f64 {
    let info = redis.command(&["INFO", "cpu"]).text();
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    1e6 * (seconds("used_cpu_sys_main_thread") + seconds("used_cpu_user_main_thread"))
}

pub(crate) fn redis_memory(redis: &RedisServer) -> i64 {
    of_memory(redis, "used_memory:").parse().unwrap_or_default()
}

/// What Redis allocates by: how much a job takes depends on it.
pub(crate) fn allocator(redis: &RedisServer) -> String {
    of_memory(redis, "mem_allocator:")
}

fn of_memory(redis: &RedisServer, field: &str) -> String {
    let info = redis.command(&["INFO", "memory"]).text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    value.trim().to_owned()
}

/// A client that has reached its Redis.
pub(crate) async fn client_of(port: u16) -> anyhow::Result<Client> {
    let client = Client::open(&redis_at(port))?;
    client.connection().connects().wait_for(|connects| *connects > 0).await?;
    Ok(client)
}

pub(crate) fn job_of(
    client: &Client,
    queue: &Arc<str>,
    kind: &Arc<str>,
    payload: &str,
    due: Due,
) -> anyhow::Result<NewJob> {
    let payload: &RawValue = serde_json::from_str(payload)?;
    let record = Record {
        kind: Cow::Borrowed(kind),
        payload,
        delay: None,
        run_at: None,
        max_retries: None,
        durability: None,
    };
    Ok(NewJob::new(client.new_id(), queue, kind, &record, due))
}

/// What a worker has by default, but for its concurrency.
pub(crate) fn settings(concurrency: usize, queue: &Arc<str>) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: 0,
        concurrency,
        queues: BTreeMap::from([(queue.clone(), 1)]),
        lease: Duration::from_secs(30),
        shutdown_timeout: Duration::from_secs(25),
        build: "bench".to_owned(),
    }
}

fn redis_at(port: u16) -> JobqueueRedis {
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port };
    JobqueueRedis { endpoint, ..JobqueueRedis::default() }
}
