//! What a worker was told to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::Registry;

#[derive(Debug, Clone)]
pub struct Settings {
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// Jobs that run at the same time at most.
    pub concurrency: usize,
    /// Weights of the queues to work on.
    pub queues: BTreeMap<Arc<str>, u32>,
    pub lease: Duration,
    pub shutdown_timeout: Duration,
    /// Names the program that runs, for comparison with other workers.
    pub build: String,
}

impl Settings {
    /// Of the configuration. Without `worker.queues`: every queue that a registered kind names.
    #[must_use]
    pub fn new(config: &atode_config::Worker, registry: &Registry, build: &str) -> Self {
        let queues = if let Some(weights) = &config.queues {
            weights.iter().map(|(queue, weight)| (queue.as_str().into(), *weight)).collect()
        } else {
            let named: BTreeSet<Arc<str>> = registry.kinds().map(|kind| kind.queue.clone()).collect();
            named.into_iter().map(|queue| (queue, 1)).collect()
        };
        Settings {
            host: config.host.clone(),
            port: config.port,
            concurrency: config.concurrency,
            queues,
            lease: config.lease,
            shutdown_timeout: config.shutdown_timeout,
            build: build.to_owned(),
        }
    }

    /// How often the registration and the leases are renewed.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.lease / 6
    }

    /// How long a registration lives without renewal: shorter than a lease, so that whoever finds
    /// a lease run out can tell a crash (no registration) from a lost lease.
    pub(crate) fn registration_ttl(&self) -> Duration {
        self.lease / 2
    }
}
