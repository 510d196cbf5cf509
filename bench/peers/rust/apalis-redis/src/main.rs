//! A peer of `atode-bench compare`: apalis-redis. `bench/peers/README.md` describes the runs and the output.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use clap::Parser;
use peer_protocol::{Args, PAYLOAD, Peer, Runs};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const WORKER: &str = "bench";
const A_CALL: usize = 500;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payload {
    message: String,
    t: u64,
}

#[derive(Clone)]
struct ApalisRedis {
    storage: RedisStorage<Payload>,
    payload: Payload,
}

static IDS: AtomicUsize = AtomicUsize::new(0);

struct Running {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Peer for ApalisRedis {
    const NAME: &'static str = "apalis-redis";
    type Worker = Running;

    fn version() -> String {
        peer_protocol::locked_version(include_str!("../../Cargo.lock"), "apalis-redis").unwrap_or_default()
    }

    async fn connect(redis: &str) -> anyhow::Result<Self> {
        let connection = apalis_redis::connect(format!("redis://{redis}")).await?;
        // Everything else keeps the library's defaults.
        let storage = RedisStorage::new(connection).with_config(Config::default().queue("bench"));
        Ok(Self { storage, payload: serde_json::from_str(PAYLOAD)? })
    }

    async fn enqueue(&mut self) -> anyhow::Result<()> {
        Ok(self.storage.push(self.payload.clone()).await?)
    }

    async fn enqueue_many(&mut self, jobs: usize) -> anyhow::Result<()> {
        let mut left = jobs;
        while left > 0 {
            let batch = left.min(A_CALL);
            self.storage.push_bulk(vec![self.payload.clone(); batch]).await?;
            left -= batch;
        }
        Ok(())
    }

    async fn enqueue_due(&mut self, due: i64) -> anyhow::Result<String> {
        let id = format!("job-{}", IDS.fetch_add(1, Ordering::Relaxed));
        let due = UNIX_EPOCH + Duration::from_millis(due as u64);
        let task = TaskBuilder::new(self.payload.clone())
            .task_id(TaskId::from_string(id.clone()))
            .run_at_time(due)
            .build();
        self.storage.push_task(task).await?;
        Ok(id)
    }

    async fn work(&mut self, concurrency: usize, runs: Arc<Runs>) -> anyhow::Result<Running> {
        let (stop, stopped) = oneshot::channel();
        let worker = WorkerBuilder::new(WORKER)
            .backend(self.storage.clone())
            .concurrency(concurrency)
            .data(runs.clone())
            .build(handler);
        let signal = async {
            // If the sender is gone, the worker stops too.
            let _ = stopped.await;
            Ok::<_, WorkerError>(())
        };
        let worker = tokio::spawn(async move {
            let ended = worker.run_until(signal).await;
            // The worker ends at Redis' first error.
            if let Err(error) = &ended {
                runs.give_up(error.to_string());
            }
            ended
        });
        Ok(Running { stop, worker })
    }

    async fn stop(running: Running) -> anyhow::Result<()> {
        // If the worker has already ended, nobody receives this. Its error is returned below.
        let _ = running.stop.send(());
        Ok(running.worker.await.context("the worker's task")??)
    }

    async fn left(&mut self) -> anyhow::Result<usize> {
        let config = self.storage.get_config().clone();
        let keys = [
            ("LLEN", config.active_jobs_list()),
            ("ZCARD", config.scheduled_jobs_set()),
            ("SCARD", config.dead_jobs_set()),
            ("SCARD", config.inflight_set_for(&WorkerContext::new(WORKER))),
        ];
        let mut left = 0;
        for (command, key) in keys {
            left += redis::cmd(command).arg(key).query_async::<usize>(self.storage.get_connection()).await?;
        }
        Ok(left)
    }
}

async fn handler(_: Payload, id: TaskId, runs: Data<Arc<Runs>>) -> Result<(), BoxDynError> {
    runs.record(id.to_string());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let figures = peer_protocol::measure::<ApalisRedis>(&args).await?;
    peer_protocol::print::<ApalisRedis>(&args, &figures);
    Ok(())
}
