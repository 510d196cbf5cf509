//! The fixture of a measurement: a Redis, a client, jobs, a worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_queue::{Client, Due, NewJob, Record};
use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::Settings;

use crate::kinds;

/// The queue of all jobs.
pub(crate) const QUEUE: &str = "default";

pub(crate) struct Fixture {
    pub(crate) redis: RedisServer,
    pub(crate) client: Client,
    pub(crate) queue: Arc<str>,
}

impl Fixture {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let redis = RedisServer::start();
        let client = client_of(redis.port()).await?;
        Ok(Fixture { redis, client, queue: QUEUE.into() })
    }

    pub(crate) fn job(&self, kind: &Arc<str>, due: Due) -> anyhow::Result<NewJob> {
        job_of(&self.client, &self.queue, kind, PAYLOAD, due)
    }

    /// See [`redis_cpu`].
    pub(crate) fn redis_cpu(&self) -> f64 {
        redis_cpu(&self.redis)
    }

    pub(crate) fn redis_memory(&self) -> i64 {
        redis_memory(&self.redis)
    }

    /// Bytes of the AOF.
    pub(crate) fn aof_size(&self) -> i64 {
        number(&self.redis, "persistence", "aof_current_size:")
    }

    /// Fails unless exactly this many jobs wait, no job is due, active or dead, and an audit finds nothing.
    pub(crate) async fn check_waiting(&self, jobs: usize) -> anyhow::Result<()> {
        let counts = self.client.queue(&self.queue).await?.counts;
        anyhow::ensure!(
            counts.scheduled == jobs as u64 && counts.ready + counts.active + counts.dead == 0,
            "expected {jobs} waiting jobs and nothing else: {counts:?}"
        );
        audit(&self.client).await
    }
}

/// Fails if an audit of the stored data finds anything.
pub(crate) async fn audit(client: &Client) -> anyhow::Result<()> {
    let audit = atode_audit::audit(client, None).await?;
    anyhow::ensure!(
        audit.findings.is_empty(),
        "the audit finds {}: {:?}",
        audit.findings.len(),
        audit.findings[0]
    );
    Ok(())
}

/// CPU time that Redis' main thread has used, µs.
pub(crate) fn redis_cpu(redis: &RedisServer) -> f64 {
    let info = redis.command(&["INFO", "cpu"]).text();
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    1e6 * (seconds("used_cpu_sys_main_thread") + seconds("used_cpu_user_main_thread"))
}

pub(crate) fn redis_memory(redis: &RedisServer) -> i64 {
    number(redis, "memory", "used_memory:")
}

/// Redis' memory allocator. The memory that a job takes depends on it.
pub(crate) fn allocator(redis: &RedisServer) -> String {
    of_info(redis, "memory", "mem_allocator:")
}

fn number(redis: &RedisServer, section: &str, field: &str) -> i64 {
    of_info(redis, section, field).parse().unwrap_or_default()
}

fn of_info(redis: &RedisServer, section: &str, field: &str) -> String {
    let info = redis.command(&["INFO", section]).text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    value.trim().to_owned()
}

/// A client that is connected to its Redis.
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
    Ok(NewJob::new(client.new_id(), queue, kind, &Record::new(payload), due))
}

/// A worker, and the token that stops it.
pub(crate) type Worker = (CancellationToken, JoinHandle<anyhow::Result<()>>);

/// Starts a worker for the [`kinds`] in this process.
pub(crate) async fn worker(port: u16, concurrency: usize) -> anyhow::Result<Worker> {
    let client = client_of(port).await?;
    let stop = CancellationToken::new();
    let run = worker::run(settings(concurrency), "bench", kinds::registry()?, client, stop.clone());
    Ok((stop, tokio::spawn(run)))
}

/// A worker's default settings, except for its concurrency.
fn settings(concurrency: usize) -> Settings {
    let queues = Some(BTreeMap::from([(QUEUE.to_owned(), 1)]));
    Settings { port: 0, concurrency, queues, ..Settings::default() }
}

fn redis_at(port: u16) -> JobqueueRedis {
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port };
    JobqueueRedis { endpoint, ..JobqueueRedis::default() }
}
