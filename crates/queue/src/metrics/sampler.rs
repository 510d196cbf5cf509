//! Gauges of the jobs in Redis, of its memory, and of the live workers. They cost a few calls every five seconds, and
//! none while nobody reads them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Unit, describe_gauge, gauge};
use tokio::sync::watch;

use crate::client::Client;
use crate::core::Core;
use crate::error::Error;
use crate::model::state::State;
use crate::redis::pool::Tasks;
use crate::view::queue::{self, QueueView};
use crate::workers::registration::Registration;

const JOBS: &str = "atode_queue_jobs";
const OLDEST: &str = "atode_queue_oldest_ready_seconds";
const UNSERVED: &str = "atode_queue_unserved_ready_jobs";
const LIVE_WORKERS: &str = "atode_live_workers";
const PAUSED: &str = "atode_queue_paused";
const WARNINGS: &str = "atode_redis_warnings";
const MEMORY_USED: &str = "atode_redis_memory_used_bytes";
const MEMORY_MAX: &str = "atode_redis_memory_max_bytes";

/// Time between two samples of the same gauge, unless there are so many queues that [`PAUSE`] makes it longer.
const INTERVAL: Duration = Duration::from_secs(5);

/// Minimum time between two queues, so that hundreds of queues do not burden Redis.
const PAUSE: Duration = Duration::from_millis(100);

/// Time for which the gauges are updated after the last read: several times the usual scrape interval.
const KEPT_FRESH: Duration = Duration::from_secs(120);

/// The part of the system that a process samples besides its queues and Redis' memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// Nothing. For workers: if each of hundreds read the registrations of all others, Redis would be busy with that.
    QueuesOnly,
    /// The live workers, and the dangers for jobs.
    WholeSystem,
}

/// Updates the gauges of queues, Redis and live workers while somebody reads them.
pub struct Sampler {
    /// The time of the last read.
    read: watch::Sender<Option<Instant>>,
    /// Holds the connection.
    _task: Tasks,
}

struct Server {
    sampled: Sampled,
    /// All builds so far. The gauge of a build that is gone is 0.
    builds: BTreeSet<String>,
}

/// Its gauges appear with the first sample, because 0 would say that there is no job.
struct Queue {
    name: Arc<str>,
    /// Kinds that once had ready jobs and no live worker.
    unserved: BTreeSet<String>,
}

pub(crate) fn describe() {
    describe_gauge!(JOBS, "Jobs of the queue by state.");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "Time since the due time of the job that has waited longest; 0 if no job is ready."
    );
    describe_gauge!(PAUSED, "1 while the queue is paused.");
    describe_gauge!(UNSERVED, "Ready jobs of a kind that no live worker of the queue runs.");
    describe_gauge!(LIVE_WORKERS, "Live workers on all machines, by build.");
    describe_gauge!(
        WARNINGS,
        "Dangers for the jobs that `/readyz` lists, such as AOF off; 0 if there are none."
    );
    describe_gauge!(MEMORY_USED, Unit::Bytes, "Memory of Redis that counts towards its maxmemory.");
    describe_gauge!(MEMORY_MAX, Unit::Bytes, "`maxmemory` of Redis; 0 means no limit.");
}

impl Sampler {
    /// Samples these queues.
    pub fn start(client: &Client, queues: impl IntoIterator<Item = Arc<str>>, sampled: Sampled) -> Self {
        let queues = queues.into_iter().map(|name| Queue { name, unserved: BTreeSet::new() }).collect();
        let (read, reads) = watch::channel(None);
        let task = client.core().runtime.spawn(run(client.clone(), queues, sampled, reads));
        Sampler { read, _task: Tasks(vec![task.abort_handle()]) }
    }

    /// Reports a read of the gauges, so that they are updated. Returns at once.
    pub fn look(&self) {
        self.read.send_replace(Some(Instant::now()));
    }
}

async fn run(
    client: Client,
    mut queues: Vec<Queue>,
    sampled: Sampled,
    mut reads: watch::Receiver<Option<Instant>>,
) {
    let mut server = Server { sampled, builds: BTreeSet::new() };
    let pause = (INTERVAL / (queues.len() as u32 + 1)).max(PAUSE);
    let is_recent = |read: &Option<Instant>| read.is_some_and(|read| read.elapsed() < KEPT_FRESH);
    while reads.wait_for(is_recent).await.is_ok() {
        let workers = or_log(server.sample(&client).await).flatten();
        for queue in &mut queues {
            or_log(queue.sample(client.core(), workers.as_deref()).await);
            tokio::time::sleep(pause).await;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Other tasks log that Redis is away, and `atode_redis_up` shows it.
fn or_log<T>(sampled: Result<T, Error>) -> Option<T> {
    sampled.inspect_err(|error| tracing::debug!(%error, "no sample now")).ok()
}

impl Server {
    /// Returns the live workers, if they are sampled.
    async fn sample(&mut self, client: &Client) -> Result<Option<Vec<Registration>>, Error> {
        let facts = match self.sampled {
            Sampled::QueuesOnly => client.connection().server_facts().await?,
            Sampled::WholeSystem => client.server_facts().await?,
        };
        // Unknown if the user may not run INFO.
        if facts.used_memory > 0 {
            gauge!(MEMORY_USED).set(facts.used_memory as f64);
            gauge!(MEMORY_MAX).set(facts.maxmemory as f64);
        }
        if self.sampled == Sampled::QueuesOnly {
            return Ok(None);
        }
        gauge!(WARNINGS).set(facts.warnings().len() as f64);
        let workers = client.workers().await?;
        self.builds.extend(workers.iter().map(|live| live.worker.build.clone()));
        for build in &self.builds {
            let live = workers.iter().filter(|live| live.worker.build == *build);
            gauge!(LIVE_WORKERS, "build" => build.clone()).set(live.count() as f64);
        }
        Ok(Some(workers))
    }
}

impl Queue {
    async fn sample(&mut self, core: &Core, workers: Option<&[Registration]>) -> Result<(), Error> {
        let view = queue::queue(core, &self.name).await?;
        let oldest = view.oldest_ready_age.map_or(0.0, |age| age.0.as_secs_f64());
        gauge!(OLDEST, "queue" => view.name.clone()).set(oldest);
        gauge!(PAUSED, "queue" => view.name.clone()).set(f64::from(u8::from(view.paused)));
        for state in State::ALL {
            let jobs = gauge!(JOBS, "queue" => view.name.clone(), "state" => state.to_string());
            jobs.set(view.counts.of(state) as f64);
        }
        if let Some(workers) = workers {
            self.show_unserved(&view, workers);
        }
        Ok(())
    }

    fn show_unserved(&mut self, view: &QueueView, workers: &[Registration]) {
        // After a FLUSHALL the kinds are gone.
        for kind in &self.unserved {
            gauge!(UNSERVED, "queue" => view.name.clone(), "kind" => kind.clone()).set(0);
        }
        for kind in &view.kinds {
            let runs =
                |worker: &Registration| worker.claims_from(&view.name) && worker.claims_kind(&kind.kind);
            let unserved = if view.paused || workers.iter().any(runs) { 0 } else { kind.counts.ready };
            if unserved > 0 {
                let gauge = gauge!(UNSERVED, "queue" => view.name.clone(), "kind" => kind.kind.clone());
                gauge.set(unserved as f64);
                self.unserved.insert(kind.kind.clone());
            }
        }
    }
}
