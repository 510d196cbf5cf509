//! Our queue as one of the peers: a process of its own that takes their command line.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atode_jobs::Job;
use atode_queue::{Client, Due, NewJob};
use peer_protocol::{PAYLOAD, Peer, Runs};

use crate::{noted, stand};

const A_CALL: usize = 1_000;

/// With jobs of this kind.
pub(crate) struct Ours<K> {
    client: Client,
    queue: Arc<str>,
    kind: PhantomData<fn() -> K>,
    port: u16,
}

// Derived, it would ask for kinds that can be cloned.
impl<K> Clone for Ours<K> {
    fn clone(&self) -> Self {
        Ours { client: self.client.clone(), queue: self.queue.clone(), kind: PhantomData, port: self.port }
    }
}

impl<K: Job> Ours<K> {
    fn job(&self, due: Due) -> anyhow::Result<NewJob> {
        stand::job_of(&self.client, &self.queue, &K::KIND.into(), PAYLOAD, due)
    }
}

impl<K: Job> Peer for Ours<K> {
    const NAME: &'static str = "atode";
    type Worker = stand::Worker;

    fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    async fn connect(redis: &str) -> anyhow::Result<Self> {
        let port = redis.strip_prefix("127.0.0.1:").context("--redis 127.0.0.1:PORT")?.parse()?;
        let client = stand::client_of(port).await?;
        Ok(Ours { client, queue: stand::QUEUE.into(), kind: PhantomData, port })
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
        noted::tell(move |id| runs.note(id.to_string()))?;
        // What a worker logs costs time, so it logs here too: to stderr, as its own binary does.
        atode_config::logging::init(&atode_config::Logging::default())?;
        stand::worker(self.port, concurrency).await
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
