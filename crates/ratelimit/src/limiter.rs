//! The rate limiter of the gateway.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, RateLimit, StorageType};

use crate::connect::StartError;
use crate::decision::Decision;
use crate::memory::Memory;
use crate::policy::{Limits, Policy};
use crate::shared::Shared;
use crate::subject::Subject;
use crate::tally::{By, Tally};

/// Interval at which idle clients are forgotten.
const DROP_IDLE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: Limits,
    /// The limits of API keys that have their own, by the name of the key.
    pub limits_of_keys: HashMap<String, Limits>,
    pub storage: StorageType,
    pub on_error: OnError,
    /// The longest time that a decision of the shared backend may take.
    pub deadline: Duration,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    inner: Arc<Inner>,
}

struct Inner {
    default: Plan,
    of_keys: HashMap<String, Plan>,
    backend: Backend,
    tally: Arc<Tally>,
}

/// The policies of one set of limits.
struct Plan {
    requests: Arc<Memory>,
    jobs: Arc<Memory>,
}

enum Backend {
    Memory,
    Shared(Arc<Shared>),
}

impl Settings {
    pub fn new(config: &RateLimit, limits_of_keys: HashMap<String, Limits>) -> Self {
        Settings {
            limits: Limits {
                requests_per_minute: config.requests_per_minute,
                requests_per_hour: config.requests_per_hour,
                jobs_per_minute: config.jobs_per_minute,
            },
            limits_of_keys,
            storage: config.storage_type,
            on_error: config.on_error,
            deadline: config.deadline,
        }
    }
}

impl RateLimiter {
    /// Starts the configured limiter. A Redis that is down does not delay the start; invalid addresses make it fail.
    /// Needs a tokio runtime.
    pub async fn start(settings: &Settings, redis: &DefaultRedis) -> Result<Self, StartError> {
        let uses_redis = match settings.storage {
            StorageType::Memory => false,
            StorageType::Redis => true,
            StorageType::Auto => !redis.addrs.is_empty(),
        };
        let tally = Arc::new(Tally::new());
        let backend = if uses_redis {
            let shared = Shared::start(redis, settings.deadline, settings.on_error, tally.clone());
            Backend::Shared(shared.await?)
        } else {
            Backend::Memory
        };
        let of_keys = settings.limits_of_keys.iter();
        let inner = Arc::new(Inner {
            default: Plan::new(&settings.limits),
            of_keys: of_keys.map(|(key, limits)| (key.clone(), Plan::new(limits))).collect(),
            backend,
            tally,
        });
        tokio::spawn(drop_idle(Arc::downgrade(&inner)));
        Ok(RateLimiter { inner })
    }

    /// Counts a request.
    pub async fn check_request(&self, subject: &Subject) -> Decision {
        self.check(subject, &self.plan(subject).requests, NonZeroU32::MIN).await
    }

    /// Counts the jobs of a request.
    pub async fn check_jobs(&self, subject: &Subject, jobs: NonZeroU32) -> Decision {
        self.check(subject, &self.plan(subject).jobs, jobs).await
    }

    /// The backend's name, `memory` or `redis`.
    pub fn backend(&self) -> &'static str {
        match self.inner.backend {
            Backend::Memory => "memory",
            Backend::Shared(_) => "redis",
        }
    }

    /// The number of decisions made without the shared backend because it was away.
    pub fn fallbacks(&self) -> u64 {
        self.inner.tally.fallbacks()
    }

    /// The number of clients that this process remembers.
    pub fn clients_remembered(&self) -> usize {
        let plans = self.inner.of_keys.values().chain([&self.inner.default]);
        plans.map(|plan| plan.requests.len() + plan.jobs.len()).sum()
    }

    fn plan(&self, subject: &Subject) -> &Plan {
        let own = match subject {
            Subject::Key(name) => self.inner.of_keys.get(&**name),
            Subject::Address(_) => None,
        };
        own.unwrap_or(&self.inner.default)
    }

    async fn check(&self, subject: &Subject, memory: &Arc<Memory>, cost: NonZeroU32) -> Decision {
        let Some(most) = memory.policy.largest_cost() else { return Decision::Allowed(Vec::new()) };
        let (by, decision) = if cost > most {
            (By::Configuration, Decision::TooLarge { most })
        } else {
            self.decide(subject, memory, cost).await
        };
        self.inner.tally.decision(by, &decision);
        decision
    }

    async fn decide(&self, subject: &Subject, memory: &Arc<Memory>, cost: NonZeroU32) -> (By, Decision) {
        let on_error = match &self.inner.backend {
            Backend::Memory => OnError::Memory,
            Backend::Shared(shared) => {
                if let Some(decided) = shared.check(memory, subject, cost).await {
                    return decided;
                }
                self.inner.tally.fallback();
                shared.on_error
            }
        };
        match on_error {
            OnError::Memory => (By::Memory, memory.check(subject, cost)),
            OnError::Allow => (By::Configuration, Decision::Allowed(Vec::new())),
            OnError::Deny => (By::Configuration, Decision::Unavailable),
        }
    }
}

impl Plan {
    fn new(limits: &Limits) -> Self {
        let memory = |policy| Arc::new(Memory::new(policy));
        Plan { requests: memory(Policy::requests(limits)), jobs: memory(Policy::jobs(limits)) }
    }
}

async fn drop_idle(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(DROP_IDLE_INTERVAL).await;
        let Some(inner) = inner.upgrade() else { return };
        for plan in inner.of_keys.values().chain([&inner.default]) {
            plan.requests.drop_idle();
            plan.jobs.drop_idle();
        }
    }
}
