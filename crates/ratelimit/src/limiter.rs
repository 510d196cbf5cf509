//! The rate limiter of the gateway.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, RateLimit, StorageType};

use crate::connect::StartError;
use crate::decision::Decision;
use crate::memory::Memory;
use crate::metrics::{By, Metrics};
use crate::policy::Policy;
use crate::shared::Shared;
use crate::subject::Subject;

/// Interval at which idle clients are forgotten.
const DROP_IDLE_INTERVAL: Duration = Duration::from_secs(10);

pub struct RateLimiter {
    requests: Arc<Memory>,
    jobs: Arc<Memory>,
    /// The backend that gateways share, if one is configured. Otherwise each process counts for itself.
    shared: Option<Arc<Shared>>,
    metrics: Arc<Metrics>,
}

impl RateLimiter {
    /// Starts the configured limiter. A Redis that is down does not delay the start; invalid addresses make it fail.
    /// Needs a tokio runtime.
    pub async fn start(config: &RateLimit, redis: &DefaultRedis) -> Result<Arc<Self>, StartError> {
        let uses_redis = match config.storage_type {
            StorageType::Memory => false,
            StorageType::Redis => true,
            StorageType::Auto => !redis.addrs.is_empty(),
        };
        let metrics = Arc::new(Metrics::new());
        let shared =
            if uses_redis { Some(Shared::start(config, redis, metrics.clone()).await?) } else { None };
        let limiter = Arc::new(RateLimiter {
            requests: Arc::new(Memory::new(Policy::requests(config))),
            jobs: Arc::new(Memory::new(Policy::jobs(config))),
            shared,
            metrics,
        });
        tokio::spawn(drop_idle(Arc::downgrade(&limiter)));
        Ok(limiter)
    }

    /// Counts a request.
    pub async fn check_request(&self, subject: &Subject) -> Decision {
        self.check(subject, &self.requests, NonZeroU32::MIN).await
    }

    /// Counts the jobs of a request.
    pub async fn check_jobs(&self, subject: &Subject, jobs: NonZeroU32) -> Decision {
        self.check(subject, &self.jobs, jobs).await
    }

    /// The backend's name, `memory` or `redis`.
    pub fn backend(&self) -> &'static str {
        if self.shared.is_some() { "redis" } else { "memory" }
    }

    /// The number of decisions made without the shared backend because it was away.
    pub fn fallbacks(&self) -> u64 {
        self.metrics.fallbacks()
    }

    /// The number of clients that this process remembers.
    pub fn clients_remembered(&self) -> usize {
        self.requests.len() + self.jobs.len()
    }

    async fn check(&self, subject: &Subject, memory: &Arc<Memory>, cost: NonZeroU32) -> Decision {
        let Some(most) = memory.policy.largest_cost() else { return Decision::Allowed(Vec::new()) };
        let (by, decision) = if cost > most {
            (By::Configuration, Decision::TooLarge { most })
        } else {
            self.decide(subject, memory, cost).await
        };
        self.metrics.decision(by, &decision);
        decision
    }

    async fn decide(&self, subject: &Subject, memory: &Arc<Memory>, cost: NonZeroU32) -> (By, Decision) {
        let mut on_error = OnError::Memory;
        if let Some(shared) = &self.shared {
            if let Some(decided) = shared.check(memory, subject, cost).await {
                return decided;
            }
            self.metrics.fallback();
            on_error = shared.on_error;
        }
        match on_error {
            OnError::Memory => (By::Memory, memory.check(subject, cost)),
            OnError::Allow => (By::Configuration, Decision::Allowed(Vec::new())),
            OnError::Deny => (By::Configuration, Decision::Unavailable),
        }
    }
}

async fn drop_idle(limiter: Weak<RateLimiter>) {
    loop {
        tokio::time::sleep(DROP_IDLE_INTERVAL).await;
        let Some(limiter) = limiter.upgrade() else { return };
        limiter.requests.drop_idle();
        limiter.jobs.drop_idle();
    }
}
