//! What all handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atode_config::Config;
use atode_jobs::Registry;
use atode_queue::{Client, Error, JobId, JobView, Sampler};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::unserved::Served;
use crate::http::body::COPIES;
use crate::http::body_room::Room;
use crate::http::cross_site::CrossSite;
use crate::http::limits::Limit;
use crate::http::problem::Problem;

/// How long an answer may take, unless its request asks for something that is to be waited for. A call of
/// Redis takes less at most, but some answers need several; what is left of a second is the limiter's.
pub(crate) const ANSWER: Duration = Duration::from_millis(850);

/// Looks for jobs at the same time: more would not be faster, and would only fill memory.
const LOOKS: usize = 64;

pub(crate) struct Gateway {
    pub(crate) client: Client,
    pub(crate) registry: Registry,
    /// Configured queues; a request for another is refused.
    pub(crate) queues: Vec<Arc<str>>,
    /// How long each of them remembers an idempotency key.
    pub(crate) idempotency_ttls: BTreeMap<Arc<str>, Duration>,
    /// None: nobody is limited.
    pub(crate) limit: Option<Limit>,
    pub(crate) cross_site: CrossSite,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_batch_bytes: usize,
    /// For the bodies of all requests and replies.
    pub(crate) room: Arc<Room>,
    /// For the gauges of queues and of Redis' memory.
    pub(crate) sampler: Sampler,
    /// A permit for each look for a job that may be on its way: what it brings is large, and in no budget yet.
    looks: Semaphore,
    /// A permit for each request that may wait for a job.
    pub(crate) waits: Semaphore,
    pub(crate) served: Arc<Served>,
    /// Cancelled when the gateway stops: long waits end.
    pub(crate) stopping: CancellationToken,
    /// Set by the signal to stop: from then on it is not ready.
    leaving: AtomicBool,
}

/// Says that the outcome is not known where it is not in time; what was sent to Redis by then stays sent.
pub(crate) fn in_time<T>(
    work: impl Future<Output = Result<T, Problem>>,
    problem: fn(Error) -> Problem,
) -> impl Future<Output = Result<T, Problem>> {
    // Boxed here once: it is large, and would be copied into each future around it.
    let work = tokio::time::timeout(ANSWER, Box::pin(work));
    async move {
        let late = |_| Err(problem(Error::Unknown("no answer in time".to_owned())));
        work.await.unwrap_or_else(late)
    }
}

impl Gateway {
    pub(crate) fn new(
        config: &Config,
        registry: Registry,
        client: Client,
        limit: Option<Limit>,
        cross_site: CrossSite,
        stopping: CancellationToken,
    ) -> Self {
        let queues: Vec<Arc<str>> = config.queues.keys().map(|queue| Arc::from(queue.as_str())).collect();
        let kinds: Vec<Arc<str>> = registry.kinds().map(|kind| kind.name.clone()).collect();
        Gateway {
            sampler: Sampler::start(&client, queues.iter().cloned(), &kinds),
            client,
            registry,
            queues,
            idempotency_ttls: config
                .queues
                .iter()
                .map(|(name, queue)| (Arc::from(name.as_str()), queue.idempotency_ttl))
                .collect(),
            limit,
            cross_site,
            max_body_bytes: config.server.max_body_bytes,
            max_batch_bytes: config.server.max_batch_bytes,
            room: Room::new(config.server.max_body_bytes.max(config.server.max_batch_bytes) * COPIES),
            looks: Semaphore::new(LOOKS),
            waits: Gateway::waits(),
            served: Arc::default(),
            stopping,
            leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Looks in the configured queues, then in all that ever were: a job does not become invisible
    /// because its queue left the configuration.
    pub(crate) async fn find(&self, id: JobId) -> Result<Option<JobView>, Problem> {
        let _look = self.looks.acquire().await;
        let mut found = self.client.job(&self.queues, id).await?;
        if found.is_none() {
            found = self.client.job(&self.unconfigured_queues().await?, id).await?;
        }
        Ok(found.map(|job| self.with_defaults(job)))
    }

    pub(crate) async fn unconfigured_queues(&self) -> Result<Vec<Arc<str>>, Problem> {
        let names = self.client.queue_names().await?;
        Ok(names.into_iter().map(Arc::from).filter(|name| !self.queues.contains(name)).collect())
    }

    /// Fills in what the job leaves to its kind.
    pub(crate) fn with_defaults(&self, mut job: JobView) -> JobView {
        if job.max_retries.is_none() {
            job.max_retries = self.registry.get(&job.kind).map(|kind| kind.max_retries);
        }
        job
    }
}
