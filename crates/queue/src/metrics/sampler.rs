//! Gauges of the jobs and the memory of Redis. They cost at most one call per five seconds, and no call while nobody
//! reads them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::interfaces::ClientLike;
use fred::types::{InfoKind, Value};
use metrics::{Gauge, gauge};
use tokio::sync::watch;

use crate::client::Client;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::redis::pool::Tasks;
use crate::scripts::SAMPLE;
use crate::wire::{self, Reply};

/// Time between two calls. Queues and Redis' memory take turns.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time for which the gauges are updated after the last read: several times the usual scrape interval.
const KEPT_FRESH: Duration = Duration::from_secs(120);

/// Updates the gauges `atode_queue_…` and `atode_redis_memory_…` while somebody reads them.
pub struct Sampler {
    /// The time of the last read.
    read: watch::Sender<Option<Instant>>,
    /// Holds the connection.
    _task: Tasks,
}

struct Queue {
    name: Arc<str>,
    kinds: BTreeSet<Arc<str>>,
    ready: Gauge,
    dead: Gauge,
    oldest: Gauge,
}

impl Sampler {
    /// Samples these queues. `kinds` are the known kinds; others are found in Redis.
    pub fn start(client: &Client, queues: impl IntoIterator<Item = Arc<str>>, kinds: &[Arc<str>]) -> Self {
        let queues = queues.into_iter().map(|name| {
            let label = name.to_string();
            Queue {
                name,
                kinds: kinds.iter().cloned().collect(),
                ready: gauge!("atode_queue_ready_jobs", "queue" => label.clone()),
                dead: gauge!("atode_queue_dead_jobs", "queue" => label.clone()),
                oldest: gauge!("atode_queue_oldest_ready_age_seconds", "queue" => label),
            }
        });
        let (read, reads) = watch::channel(None);
        let core = client.core();
        let task = core.runtime.spawn(run(core.clone(), queues.collect(), reads));
        Sampler { read, _task: Tasks(vec![task.abort_handle()]) }
    }

    /// Reports a read of the gauges, so that they are updated. Returns at once.
    pub fn look(&self) {
        self.read.send_replace(Some(Instant::now()));
    }
}

async fn run(core: Arc<Core>, mut queues: Vec<Queue>, mut reads: watch::Receiver<Option<Instant>>) {
    let used = gauge!("atode_redis_memory_used_bytes");
    let most = gauge!("atode_redis_memory_max_bytes");
    let is_recent = |read: &Option<Instant>| read.is_some_and(|read| read.elapsed() < KEPT_FRESH);
    while reads.wait_for(is_recent).await.is_ok() {
        for n in 0..=queues.len() {
            let sampled = match queues.get_mut(n) {
                Some(queue) => sample(&core, queue).await,
                None => sample_memory(&core, &used, &most).await,
            };
            if let Err(error) = sampled {
                // Other tasks log that Redis is away, and `atode_redis_up` shows it.
                tracing::debug!(%error, "no sample now");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn sample(core: &Core, queue: &mut Queue) -> Result<(), Error> {
    let keys = core.keys.queue(&queue.name);
    let script_keys = wire::keys(&keys, [keys.kinds()], &queue.kinds, &[Set::Due, Set::Dead]);
    let reply = core.call(&SAMPLE, script_keys, Vec::new()).await?;
    queue.show(&reply).ok_or_else(|| reply.corrupt())
}

async fn sample_memory(core: &Core, used: &Gauge, most: &Gauge) -> Result<(), Error> {
    let info: String = core.connection.client()?.info(Some(InfoKind::Memory)).await?;
    for (name, gauge) in [("used_memory:", used), ("maxmemory:", most)] {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        if let Some(value) = value {
            gauge.set(value);
        }
    }
    Ok(())
}

impl Queue {
    /// kinds, ready, earliest due, dead
    fn show(&mut self, reply: &Reply) -> Option<()> {
        let [Value::Array(kinds), ready, earliest, dead] = reply.values() else { return None };
        let age = wire::instant(earliest).map_or(0, |earliest| reply.now - earliest);
        self.ready.set(ready.as_f64()?);
        self.dead.set(dead.as_f64()?);
        self.oldest.set(age as f64 / 1_000.0);
        self.kinds.extend(kinds.iter().filter_map(|kind| kind.as_str().map(|kind| Arc::from(&*kind))));
        Some(())
    }
}
