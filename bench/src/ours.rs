//! Our queue as one of the peers: a process of its own that takes their command line.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use atode_jobs::{Job, JobContext, JobError, Registry};
use atode_queue::{Client, Due, NewJob};
use peer_protocol::{Peer, Runs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::stand::{self, Payload};

const A_CALL: usize = 1_000;

/// A handler has nothing but its job and its context, so what it tells lies here.
static RUNS: OnceLock<Arc<Runs>> = OnceLock::new();

#[derive(Serialize, Deserialize, JsonSchema)]
struct Noted(Payload);

impl Job for Noted {
    const KIND: &'static str = "bench:noted";
    const RETENTION: Duration = Duration::ZERO;

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        RUNS.get().context("a worker runs without runs to note")?.note(ctx.id.to_string());
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Ours {
    client: Client,
    queue: Arc<str>,
    kind: Arc<str>,
    port: u16,
}

impl Ours {
    fn job(&self, due: Due) -> anyhow::Result<NewJob> {
        stand::job_of(&self.client, &self.queue, &self.kind, due)
    }
}

impl Peer for Ours {
    const NAME: &'static str = "atode";
    type Worker = (CancellationToken, JoinHandle<anyhow::Result<()>>);

    fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    async fn connect(redis: &str) -> anyhow::Result<Self> {
        let port = redis.strip_prefix("127.0.0.1:").context("--redis 127.0.0.1:PORT")?.parse()?;
        let client = stand::client_of(port).await?;
        Ok(Ours { client, queue: "default".into(), kind: Noted::KIND.into(), port })
    }

    async fn enqueue(&mut self) -> anyhow::Result<()> {
        let stored = self.client.enqueue(self.job(Due::After(Duration::ZERO))?).await?;
        anyhow::ensure!(stored.is_created(), "a new job was taken for a duplicate");
        Ok(())
    }

    async fn enqueue_many(&mut self, jobs: usize) -> anyhow::Result<()> {
        let mut left = jobs;
        while left > 0 {
            let batch = left.min(A_CALL);
            let jobs: Vec<_> =
                (0..batch).map(|_| self.job(Due::After(Duration::ZERO))).collect::<anyhow::Result<_>>()?;
            for stored in self.client.enqueue_each(&self.queue, &jobs).await {
                anyhow::ensure!(stored?.is_created(), "a new job was taken for a duplicate");
            }
            left -= batch;
        }
        Ok(())
    }

    async fn enqueue_due(&mut self, due: i64) -> anyhow::Result<String> {
        let job = self.job(Due::At(due))?;
        let id = job.id.to_string();
        self.client.enqueue(job).await?;
        Ok(id)
    }

    async fn work(&mut self, concurrency: usize, runs: Arc<Runs>) -> anyhow::Result<Self::Worker> {
        anyhow::ensure!(RUNS.set(runs).is_ok(), "one worker a process");
        let mut registry = Registry::default();
        registry.register::<Noted>()?;
        let client = stand::client_of(self.port).await?;
        let settings = stand::settings(concurrency, &self.queue);
        let stop = CancellationToken::new();
        Ok((stop.clone(), tokio::spawn(worker::run(settings, registry, client, stop))))
    }

    async fn stop((stop, worker): Self::Worker) -> anyhow::Result<()> {
        stop.cancel();
        worker.await?
    }

    async fn left(&mut self) -> anyhow::Result<usize> {
        let counts = self.client.queue(&self.queue).await?.counts;
        Ok((counts.scheduled + counts.ready + counts.active + counts.dead) as usize)
    }
}
