//! `GET /v1/queues/{queue}/scale`: what an autoscaler of workers reads. Every field is always there, because an
//! autoscaler stops when one is missing. It is polled every few seconds and not rate limited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{Data, Path};
use atode_queue::{Client, Error, QueueView, Registration};
use futures_util::future::try_join;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::api::queues;
use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::replies::Reply;

/// The time for which one read of the live workers serves the autoscalers of all queues.
const FRESH: Duration = Duration::from_secs(1);

/// The live workers as they were read last, and when.
#[derive(Default)]
pub(crate) struct RecentWorkers(Mutex<Option<(Instant, Arc<[Registration]>)>>);

/// The load of a queue, for an autoscaler.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Scale {
    queue: String,
    paused: bool,
    scheduled: u64,
    /// 0 while the queue is paused: more workers would not help.
    ready: u64,
    active: u64,
    /// `ready + active`. Above 0, at least one worker must live.
    unfinished: u64,
    /// 0 if no job is ready, and while the queue is paused.
    oldest_ready_age_seconds: f64,
    /// Live workers that claim from the queue.
    workers: usize,
    /// Jobs that these workers can run at the same time, together with jobs of their other queues.
    slots: u64,
}

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>) -> Reply {
    queues::existing(&gateway, &name, Problem::from, scale(&gateway, &name)).await
}

async fn scale(gateway: &Gateway, name: &str) -> Result<Scale, Error> {
    let workers = gateway.recent_workers.read(&gateway.client);
    let (queue, workers) = try_join(gateway.client.queue(name), workers).await?;
    Ok(Scale::new(queue, &workers))
}

impl RecentWorkers {
    /// Requests at the same time share one read.
    async fn read(&self, client: &Client) -> Result<Arc<[Registration]>, Error> {
        let mut recent = self.0.lock().await;
        if let Some((at, workers)) = &*recent
            && at.elapsed() < FRESH
        {
            return Ok(workers.clone());
        }
        let at = Instant::now();
        let workers: Arc<[Registration]> = client.workers().await?.into();
        *recent = Some((at, workers.clone()));
        Ok(workers)
    }
}

impl Scale {
    fn new(queue: QueueView, workers: &[Registration]) -> Self {
        let claiming = || workers.iter().filter(|worker| worker.claims_from(&queue.name));
        let (ready, oldest) =
            if queue.paused { (0, None) } else { (queue.counts.ready, queue.oldest_ready_age) };
        Scale {
            paused: queue.paused,
            scheduled: queue.counts.scheduled,
            ready,
            active: queue.counts.active,
            unfinished: ready + queue.counts.active,
            oldest_ready_age_seconds: oldest.map_or(0.0, |age| age.0.as_secs_f64()),
            workers: claiming().count(),
            slots: claiming().map(|worker| u64::from(worker.slots)).sum(),
            queue: queue.name,
        }
    }
}
