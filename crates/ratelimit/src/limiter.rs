//! The limiter that the gateway asks.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, RateLimit, StorageType};

use crate::breaker::Breaker;
use crate::connect;
use crate::decision::Decision;
use crate::denials::Denials;
use crate::gather::Gather;
use crate::memory::Memory;
use crate::policy::{Limits, Policy};
use crate::remote::Remote;
use crate::subject::Subject;
use crate::tally::{By, Tally};

/// Between two looks at a backend that is away.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Idle clients are forgotten this often.
const DROP_IDLE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: Limits,
    /// By the name of an API key, where the key has limits of its own.
    pub limits_of_keys: HashMap<String, Limits>,
    pub storage: StorageType,
    pub on_error: OnError,
    /// What a decision of the shared backend may take.
    pub deadline: Duration,
}

/// Why a limiter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cache_server.redis.default.cluster.addrs: {0}")]
    Addresses(String),
    #[error(transparent)]
    Config(#[from] atode_config::ConfigError),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    default: Plan,
    of_keys: HashMap<String, Plan>,
    backend: Backend,
    tally: Tally,
}

/// The policies of one set of limits, each with its local limiter.
struct Plan {
    requests: Counted,
    jobs: Counted,
}

struct Counted {
    policy: Policy,
    memory: Memory,
}

enum Backend {
    Memory,
    Redis(Box<Redis>),
}

struct Redis {
    /// Set once the server has been reached and told what it is.
    remote: OnceLock<Arc<Remote>>,
    gather: Arc<Gather>,
    breaker: Breaker,
    denials: Denials,
    deadline: Duration,
    on_error: OnError,
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
    /// Starts the limiter that the configuration chooses. A Redis that is down does not hold the
    /// start up; addresses that make no sense end it. Needs a tokio runtime.
    pub async fn start(settings: &Settings, redis: &DefaultRedis) -> Result<Self, StartError> {
        let uses_redis = match settings.storage {
            StorageType::Memory => false,
            StorageType::Redis => true,
            StorageType::Auto => !redis.addrs.is_empty(),
        };
        let backend = if uses_redis {
            Backend::Redis(Box::new(Redis {
                remote: OnceLock::new(),
                gather: Arc::default(),
                breaker: Breaker::default(),
                denials: Denials::new(),
                deadline: settings.deadline,
                on_error: settings.on_error,
            }))
        } else {
            Backend::Memory
        };
        let limiter = RateLimiter {
            shared: Arc::new(Shared {
                default: Plan::new(&settings.limits),
                of_keys: settings
                    .limits_of_keys
                    .iter()
                    .map(|(key, limits)| (key.clone(), Plan::new(limits)))
                    .collect(),
                backend,
                tally: Tally::new(),
            }),
        };
        if uses_redis {
            limiter.connect(redis).await?;
        }
        tokio::spawn(drop_idle(Arc::downgrade(&limiter.shared)));
        Ok(limiter)
    }

    /// Counts a request.
    pub async fn check_request(&self, subject: &Subject) -> Decision {
        self.check(subject, &self.plan(subject).requests, NonZeroU32::MIN).await
    }

    /// Counts the jobs of a request.
    pub async fn check_jobs(&self, subject: &Subject, jobs: NonZeroU32) -> Decision {
        self.check(subject, &self.plan(subject).jobs, jobs).await
    }

    /// `memory` or `redis`.
    pub fn backend(&self) -> &'static str {
        match self.shared.backend {
            Backend::Memory => "memory",
            Backend::Redis(_) => "redis",
        }
    }

    /// Decisions made without the shared backend because it was away.
    pub fn fallbacks(&self) -> u64 {
        self.shared.tally.fallbacks()
    }

    /// Clients that this process remembers.
    pub fn clients_remembered(&self) -> usize {
        let plans = self.shared.of_keys.values().chain([&self.shared.default]);
        plans.map(|plan| plan.requests.memory.len() + plan.jobs.memory.len()).sum()
    }

    fn plan(&self, subject: &Subject) -> &Plan {
        let own = match subject {
            Subject::Key(name) => self.shared.of_keys.get(name),
            Subject::Address(_) => None,
        };
        own.unwrap_or(&self.shared.default)
    }

    async fn check(&self, subject: &Subject, counted: &Counted, cost: NonZeroU32) -> Decision {
        let Some(most) = counted.policy.largest_cost() else { return Decision::Allowed(Vec::new()) };
        let (by, decision) = if cost > most {
            (By::Configuration, Decision::TooLarge { most })
        } else {
            self.decide(subject, counted, cost).await
        };
        self.shared.tally.decision(by, &decision);
        decision
    }

    async fn decide(&self, subject: &Subject, counted: &Counted, cost: NonZeroU32) -> (By, Decision) {
        let client = subject.name();
        let on_error = match &self.shared.backend {
            Backend::Memory => OnError::Memory,
            Backend::Redis(redis) => {
                if let Some(decided) = redis.check(counted, &client, cost, &self.shared.tally).await {
                    return decided;
                }
                self.shared.tally.fallback();
                redis.on_error
            }
        };
        match on_error {
            OnError::Memory => (By::Memory, counted.memory.check(&client, cost)),
            OnError::Allow => (By::Configuration, Decision::Allowed(Vec::new())),
            OnError::Deny => (By::Configuration, Decision::Unavailable),
        }
    }

    /// Tries once, so that a wrong configuration ends the start; goes on in the background where
    /// nobody answers.
    async fn connect(&self, redis: &DefaultRedis) -> Result<(), StartError> {
        let shared = self.shared.clone();
        match connect::connect(redis).await? {
            Some(client) => shared.connected(Remote::new(client, &redis.key_prefix)),
            None => {
                shared.tally.breaker_opened();
                tracing::error!(addrs = ?redis.addrs, "the rate limiter's Redis does not answer; limits hold for each gateway by itself until it does");
                let redis = redis.clone();
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(PROBE_INTERVAL).await;
                        match connect::connect(&redis).await {
                            Ok(Some(client)) => {
                                return shared.connected(Remote::new(client, &redis.key_prefix));
                            }
                            Ok(None) => {}
                            Err(error) => tracing::error!(%error, "the rate limiter cannot use its Redis"),
                        }
                    }
                });
            }
        }
        tokio::spawn(recover(Arc::downgrade(&self.shared)));
        Ok(())
    }
}

impl Shared {
    fn connected(&self, remote: Remote) {
        if let Backend::Redis(redis) = &self.backend {
            let _ = redis.remote.set(Arc::new(remote));
            self.tally.breaker_closed();
            tracing::info!("rate limits are shared through Redis");
        }
    }
}

impl Redis {
    /// None: the backend is away, or did not answer in time.
    async fn check(
        &self,
        counted: &Counted,
        client: &str,
        cost: NonZeroU32,
        tally: &Tally,
    ) -> Option<(By, Decision)> {
        let remote = self.remote.get()?;
        if self.breaker.is_open() {
            return None;
        }
        let key = remote.key(&counted.policy, client);
        if let Some(denial) = self.denials.holds(&key, cost) {
            return Some((By::Remembered, Decision::Denied(denial)));
        }
        let decision = self.gather.check(remote, &counted.policy, &key, cost);
        let failure = match tokio::time::timeout(self.deadline, decision).await {
            Ok(Ok(decision)) => {
                match &decision {
                    Decision::Denied(denial) => self.denials.remember(&key, cost, denial),
                    // Kept warm: should the backend go away, nobody starts with a full quota.
                    _ => drop(counted.memory.check(client, cost)),
                }
                return Some((By::Redis, decision));
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {:?}", self.deadline),
        };
        if self.breaker.trip(&counted.policy, &key) {
            tally.breaker_opened();
            tracing::error!(error = failure, on_error = ?self.on_error, "the rate limiter's Redis is away; decisions are made without it until it is back");
        }
        None
    }
}

impl Plan {
    fn new(limits: &Limits) -> Self {
        Plan { requests: Counted::new(Policy::requests(limits)), jobs: Counted::new(Policy::jobs(limits)) }
    }
}

impl Counted {
    fn new(policy: Policy) -> Self {
        Counted { memory: Memory::new(&policy), policy }
    }
}

/// Asks a backend that failed until it answers, then closes the breaker.
async fn recover(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        let Backend::Redis(redis) = &shared.backend else { return };
        let (true, Some(remote), Some((policy, key))) =
            (redis.breaker.is_open(), redis.remote.get(), redis.breaker.failed())
        else {
            continue;
        };
        if let Ok(Ok(())) = tokio::time::timeout(redis.deadline, remote.probe(&policy, &key)).await {
            redis.breaker.close();
            shared.tally.breaker_closed();
            tracing::info!("the rate limiter's Redis is back");
        }
    }
}

async fn drop_idle(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(DROP_IDLE_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        for plan in shared.of_keys.values().chain([&shared.default]) {
            plan.requests.memory.drop_idle();
            plan.jobs.memory.drop_idle();
        }
    }
}
