//! The state that all handlers share.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use atode_config::Config;
use atode_jobs::{Catalogue, JobRules, Registry};
use atode_queue::{Client, Sampled, Sampler};
use atode_ratelimit::RateLimiter;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::api::live_workers::LiveWorkers;
use crate::api::looks::Looks;
use crate::api::recent_workers::RecentWorkers;
use crate::http::body_budget::{BodyBudget, COPIES};
use crate::http::cross_site::CrossSite;
use crate::http::request_metrics::RequestMetrics;
use crate::openapi::cache::OpenApi;

/// Concurrent look-ups of jobs. More would not be faster, and each may bring a large payload that no budget counts yet.
const MAX_LOOKUPS: usize = 64;

/// Histories that are read at the same time. Each takes memory for up to a hundred series of three days.
const MAX_HISTORIES: usize = 4;

/// Requests that may wait for jobs at the same time.
const MAX_WAITS: usize = 1_000;

pub(crate) struct Gateway {
    pub(crate) client: Client,
    /// The kinds that workers have published.
    pub(crate) catalogue: Catalogue,
    /// Configured queues. A request for another queue is refused.
    pub(crate) queues: Vec<Arc<str>>,
    /// The rules for what may be enqueued.
    pub(crate) rules: JobRules,
    /// Unset if rate limits are switched off.
    pub(crate) limiter: Option<Arc<RateLimiter>>,
    /// Proxies in front of the gateway whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: usize,
    pub(crate) cross_site: CrossSite,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_batch_bytes: usize,
    /// Memory for the bodies of all requests and replies.
    pub(crate) body_budget: Arc<BodyBudget>,
    /// Updates the gauges of queues, of Redis' memory and of live workers.
    pub(crate) sampler: Sampler,
    /// One permit per look-up of a job.
    pub(crate) lookups: Semaphore,
    /// One permit per request for the history.
    pub(crate) histories: Semaphore,
    /// One permit per request that waits for a job.
    pub(crate) waits: Semaphore,
    pub(crate) live_workers: Arc<LiveWorkers>,
    /// Shared by the autoscalers of all queues.
    pub(crate) recent_workers: RecentWorkers,
    pub(crate) request_metrics: RequestMetrics,
    pub(crate) openapi: OpenApi,
    /// Wakes a runner of bulk operations: there is a new one.
    pub(crate) bulk_wanted: Notify,
    /// The last look, which all streams of events share.
    pub(crate) looks: Looks,
    /// Cancelled by the signal to stop: the gateway is no longer ready.
    pub(crate) stop: CancellationToken,
    /// Cancelled later, when the server stops accepting requests: long waits end.
    pub(crate) stopping: CancellationToken,
}

impl Gateway {
    pub(crate) fn new(
        config: &Config,
        registry: Registry,
        catalogue: Catalogue,
        client: Client,
        limiter: Option<Arc<RateLimiter>>,
        cross_site: CrossSite,
        stop: CancellationToken,
    ) -> Self {
        let queues: Vec<Arc<str>> = config.queues.keys().map(|queue| Arc::from(queue.as_str())).collect();
        let ttls = config.queues.iter().map(|(name, queue)| (name.as_str(), queue.idempotency_ttl));
        let largest_body = config.server.max_body_bytes.max(config.server.max_batch_bytes);
        Gateway {
            sampler: Sampler::start(&client, queues.iter().cloned(), Sampled::WholeSystem),
            client,
            queues,
            rules: JobRules::new(registry, ttls).with_catalogue(catalogue.clone()),
            catalogue,
            limiter,
            trusted_proxies: config.api.rate_limit.trusted_proxies,
            cross_site,
            max_body_bytes: config.server.max_body_bytes,
            max_batch_bytes: config.server.max_batch_bytes,
            body_budget: BodyBudget::new(largest_body * COPIES),
            lookups: Semaphore::new(MAX_LOOKUPS),
            histories: Semaphore::new(MAX_HISTORIES),
            waits: Semaphore::new(MAX_WAITS),
            live_workers: Arc::default(),
            recent_workers: RecentWorkers::default(),
            request_metrics: RequestMetrics::default(),
            openapi: OpenApi::default(),
            bulk_wanted: Notify::new(),
            looks: Looks::default(),
            stop,
            stopping: CancellationToken::new(),
        }
    }

    /// The state of the application that serves this request.
    pub(crate) fn of(request: &HttpRequest) -> &Self {
        request.app_data::<Data<Self>>().expect("the application was built with its state")
    }

    /// Requests that currently wait for jobs.
    pub(crate) fn waiting(&self) -> usize {
        MAX_WAITS.saturating_sub(self.waits.available_permits())
    }
}
