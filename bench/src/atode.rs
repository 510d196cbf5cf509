//! atode as one of the compared queues: its process takes the same command line as the peers.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atode_jobs::Job;
use atode_queue::{Client, Due, NewJob};
use peer_protocol::{PAYLOAD, Peer, Runs};

use crate::{fixture, kinds, producers};

/// A client of atode that enqueues jobs of kind `K`.
pub(crate) struct Atode<K> {
    client: Client,
    queue: Arc<str>,
    kind: PhantomData<fn() -> K>,
    port: u16,
}

// `derive` would require `K: Clone`.
impl<K> Clone for Atode<K> {
    fn clone(&self) -> Self {
        Atode { client: self.client.clone(), queue: self.queue.clone(), kind: PhantomData, port: self.port }
    }
}

impl<K: Job> Atode<K> {
    fn job(&self, due: Due) -> anyhow::Result<NewJob> {
        fixture::job_of(&self.client, &self.queue, &K::KIND.into(), PAYLOAD, due)
    }
}

impl<K: Job> Peer for Atode<K> {
    const NAME: &'static str = "atode";
    type Worker = fixture::Worker;

    fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    async fn connect(redis: &str) -> anyhow::Result<Self> {
        let port = redis.strip_prefix("127.0.0.1:").context("--redis 127.0.0.1:PORT")?.parse()?;
        let client = fixture::client_of(port).await?;
        Ok(Atode { client, queue: fixture::QUEUE.into(), kind: PhantomData, port })
    }

    async fn enqueue(&mut self) -> anyhow::Result<()> {
        let stored = self.client.enqueue(self.job(Due::After(Duration::ZERO))?).await?;
        anyhow::ensure!(stored.is_created(), "a new job was taken for a duplicate");
        Ok(())
    }

    async fn enqueue_many(&mut self, jobs: usize) -> anyhow::Result<()> {
        producers::in_batches(&self.client, jobs, || self.job(Due::After(Duration::ZERO))).await
    }

    async fn enqueue_due(&mut self, due: i64) -> anyhow::Result<String> {
        let job = self.job(Due::At(due))?;
        let id = job.id.to_string();
        self.client.enqueue(job).await?;
        Ok(id)
    }

    async fn work(&mut self, concurrency: usize, runs: Arc<Runs>) -> anyhow::Result<Self::Worker> {
        kinds::on_run(move |id| runs.record(id.to_string()))?;
        // Logging costs time, so this worker logs to stderr as the real binary does.
        atode_config::logging::init(&atode_config::Logging::default())?;
        fixture::worker(self.port, concurrency).await
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
