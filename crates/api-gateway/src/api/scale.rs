//! `GET /v1/queues/{queue}/scale`: what an autoscaler of workers reads. Every field is always there, because an
//! autoscaler stops when one is missing. It is polled every few seconds and not rate limited.

use actix_web::web::{Data, Path};
use atode_queue::{Error, QueueView, Registration};
use futures_util::future::try_join;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::queues;
use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::replies::Reply;
use crate::http::unread::NoQuery;

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

pub(crate) async fn show(gateway: Data<Gateway>, name: Path<String>, _: NoQuery) -> Reply {
    queues::existing(&gateway, &name, Problem::from, scale(&gateway, &name)).await
}

async fn scale(gateway: &Gateway, name: &str) -> Result<Scale, Error> {
    let workers = gateway.recent_workers.read(&gateway.client);
    let (queue, workers) = try_join(gateway.client.queue(name), workers).await?;
    Ok(Scale::new(queue, &workers))
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
