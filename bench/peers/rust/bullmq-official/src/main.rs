//! A peer of `atode-bench compare`: `bullmq-official`. `bench/peers/README.md` describes the runs and the output.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bullmq::options::RedisConnectionOptions;
use bullmq::types::RemoveOnFinish;
use bullmq::{BulkJob, Job, JobOptions, Queue, QueueOptions, Worker, WorkerOptions};
use clap::Parser;
use peer_protocol::{Args, PAYLOAD, Peer, Runs};
use serde_json::Value;

const NAME: &str = "bench";
const A_CALL: usize = 1_000;

#[derive(Clone)]
struct BullmqOfficial {
    queue: Queue,
    connection: RedisConnectionOptions,
    payload: Value,
}

impl Peer for BullmqOfficial {
    const NAME: &'static str = "bullmq-official";
    type Worker = Worker;

    fn version() -> String {
        peer_protocol::locked_version(include_str!("../../Cargo.lock"), "bullmq-official").unwrap_or_default()
    }

    async fn connect(redis: &str) -> anyhow::Result<Self> {
        let connection =
            RedisConnectionOptions { url: format!("redis://{redis}"), ..RedisConnectionOptions::default() };
        // Finished jobs are removed at once. Everything else keeps the library's defaults.
        let defaults =
            JobOptions { remove_on_complete: Some(RemoveOnFinish::Bool(true)), ..JobOptions::default() };
        let options = QueueOptions {
            connection: connection.clone(),
            default_job_options: defaults,
            ..QueueOptions::default()
        };
        let queue = Queue::with_options(NAME, options).await?;
        Ok(Self { queue, connection, payload: serde_json::from_str(PAYLOAD)? })
    }

    async fn enqueue(&mut self) -> anyhow::Result<()> {
        self.queue.add(NAME, &self.payload).await?;
        Ok(())
    }

    async fn enqueue_many(&mut self, jobs: usize) -> anyhow::Result<()> {
        let mut left = jobs;
        while left > 0 {
            let batch = left.min(A_CALL);
            self.queue.add_bulk((0..batch).map(|_| BulkJob::new(NAME, &self.payload)).collect()).await?;
            left -= batch;
        }
        Ok(())
    }

    async fn enqueue_due(&mut self, due: i64) -> anyhow::Result<String> {
        let now = std::time::UNIX_EPOCH.elapsed().context("the clock is before 1970")?.as_millis() as i64;
        let options = JobOptions { timestamp: Some(now as u64), ..JobOptions::default() };
        let delay = Duration::from_millis((due - now).max(0) as u64);
        let job = self.queue.add(NAME, &self.payload).options(options).delay(delay).await?;
        Ok(job.id().to_owned())
    }

    async fn work(&mut self, concurrency: usize, runs: Arc<Runs>) -> anyhow::Result<Worker> {
        let options =
            WorkerOptions { connection: self.connection.clone(), concurrency, ..WorkerOptions::default() };
        let handler = move |job: Job, _token| {
            runs.record(job.id().to_owned());
            async { Ok(Value::Null) }
        };
        Ok(Worker::with_options(NAME, handler, options).await?)
    }

    async fn stop(worker: Worker) -> anyhow::Result<()> {
        Ok(worker.close(30_000).await?)
    }

    async fn left(&mut self) -> anyhow::Result<usize> {
        let counts = self.queue.get_job_counts().await?;
        let left = counts.waiting + counts.active + counts.delayed + counts.prioritized + counts.failed;
        Ok((left + counts.paused) as usize)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let figures = peer_protocol::measure::<BullmqOfficial>(&args).await?;
    peer_protocol::print::<BullmqOfficial>(&args, &figures);
    Ok(())
}
