//! Settings of a worker, from the configuration and the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::Registry;

#[derive(Debug, Clone)]
pub struct Settings {
    pub host: String,
    /// Port of the health checks. 0: any free port.
    pub port: u16,
    /// Largest number of jobs that run at the same time.
    pub concurrency: usize,
    /// The queues to serve, with their weights.
    pub queues: BTreeMap<Arc<str>, u32>,
    pub lease: Duration,
    pub shutdown_timeout: Duration,
    /// Name and version of the running program, for comparison with other workers.
    pub build: String,
}

impl Settings {
    /// Reads the configuration. Without `worker.queues`, the worker serves every queue that a registered kind names.
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

    /// How long a registration lives without renewal. It is shorter than a lease, so that a sweeper that finds an
    /// expired lease can tell a crash (no registration) from a lost lease.
    pub(crate) fn registration_ttl(&self) -> Duration {
        self.lease / 2
    }
}
