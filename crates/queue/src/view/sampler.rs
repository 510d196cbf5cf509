//! Gauges of what lies in Redis. They cost one call in five seconds at most, and none while nobody looks at them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::interfaces::ClientLike;
use fred::types::{InfoKind, Key, Value};
use metrics::{Gauge, gauge};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::scripts::SAMPLE;

/// Between two calls. Queues and Redis' memory have theirs in turn.
const INTERVAL: Duration = Duration::from_secs(5);

/// After the last look the gauges are kept up to date for this long: several times what scrapers usually leave
/// between two scrapes.
const KEPT_FRESH: Duration = Duration::from_secs(120);

/// Keeps the gauges `atode_queue_…` and `atode_redis_memory_…` up to date while somebody looks.
pub struct Sampler {
    looks: Arc<Looks>,
    task: AbortHandle,
}

/// The client that it holds is given up.
impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Looks {
    last: Mutex<Option<Instant>>,
    first: Notify,
}

struct Queue {
    name: Arc<str>,
    kinds: BTreeSet<Arc<str>>,
    ready: Gauge,
    dead: Gauge,
    oldest: Gauge,
}

impl Sampler {
    /// Samples these queues; `kinds` are those that are known already, others are found in Redis.
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
        let looks = Arc::new(Looks::default());
        let task = client.runtime().spawn(run(client.clone(), queues.collect(), looks.clone()));
        Sampler { looks, task: task.abort_handle() }
    }

    /// Somebody looks at the gauges. Returns at once: they show what the last calls found.
    pub fn look(&self) {
        *self.looks.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.looks.first.notify_one();
    }
}

impl Looks {
    fn are_recent(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < KEPT_FRESH)
    }
}

async fn run(client: Client, mut queues: Vec<Queue>, looks: Arc<Looks>) {
    let used = gauge!("atode_redis_memory_used_bytes");
    let most = gauge!("atode_redis_memory_max_bytes");
    loop {
        looks.first.notified().await;
        while looks.are_recent() {
            for n in 0..=queues.len() {
                let sampled = match queues.get_mut(n) {
                    Some(queue) => client.sample(queue).await,
                    None => client.sample_memory(&used, &most).await,
                };
                if let Err(error) = sampled {
                    // That Redis is away is said elsewhere, and `atode_redis_up` shows it.
                    tracing::debug!(%error, "no sample now");
                }
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

impl Client {
    async fn sample(&self, queue: &mut Queue) -> Result<(), Error> {
        let keys = self.keys().queue(&queue.name);
        let mut script_keys: Vec<Key> = vec![keys.kinds().into()];
        for kind in &queue.kinds {
            script_keys.extend([Set::Due, Set::Dead].map(|set| Key::from(keys.set(kind, set))));
        }
        let reply = self.call(&SAMPLE, script_keys, Vec::new()).await?;
        queue.show(&reply).ok_or_else(|| Error::corrupt(format!("the reply of {}", SAMPLE.name)))
    }

    async fn sample_memory(&self, used: &Gauge, most: &Gauge) -> Result<(), Error> {
        let info: String = self.connection().reader()?.info(Some(InfoKind::Memory)).await?;
        for (name, gauge) in [("used_memory:", used), ("maxmemory:", most)] {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            if let Some(value) = value {
                gauge.set(value);
            }
        }
        Ok(())
    }
}

impl Queue {
    /// now, kinds, ready, earliest due, dead
    fn show(&mut self, reply: &[Value]) -> Option<()> {
        let [now, Value::Array(kinds), ready, earliest, dead] = reply else { return None };
        let (now, earliest) = (now.as_i64()?, earliest.as_i64()?);
        self.ready.set(ready.as_f64()?);
        self.dead.set(dead.as_f64()?);
        self.oldest.set(if earliest < 0 { 0.0 } else { (now - earliest) as f64 / 1_000.0 });
        self.kinds.extend(kinds.iter().filter_map(|kind| kind.as_str().map(|kind| Arc::from(&*kind))));
        Some(())
    }
}
