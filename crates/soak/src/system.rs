//! The system under test: processes of Redis, gateways and workers, and a bad network between them and Redis.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atode_queue::WorkerId;
use atode_testkit::{AclUser, Binary, Proxy, RedisServer, Service, ServiceBuilder, Stream};
use tempfile::TempDir;

use crate::servers::{self, Servers};

/// Short, so that jobs of lost workers run again during the soak.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

const SOAK: [(&str, &str); 4] = [
    ("APP__WORKER__LEASE", "5s"),
    ("APP__WORKER__SHUTDOWN_TIMEOUT", "2s"),
    ("APP__SERVER__SHUTDOWN_TIMEOUT", "2s"),
    ("APP__LOGGING__LEVEL", "warn,worker::start=info,api_gateway::http::serve=info,job=error"),
];

pub(crate) enum GatewayBinary {}
impl Binary for GatewayBinary {
    const NAME: &'static str = "soak-gateway";
}

pub(crate) enum WorkerBinary {}
impl Binary for WorkerBinary {
    const NAME: &'static str = "soak-worker";
}

pub(crate) struct System {
    pub(crate) servers: Servers,
    pub(crate) network: Proxy,
    pub(crate) gateways: Vec<Slot<GatewayBinary>>,
    pub(crate) workers: Vec<Slot<WorkerBinary>>,
    /// The folder of the ledger.
    pub(crate) dir: TempDir,
    /// True while clients send large jobs among the small ones.
    pub(crate) large_payloads: AtomicBool,
}

/// A slot for one process, which is replaced when it is gone.
pub(crate) struct Slot<B> {
    service: Mutex<Option<Service<B>>>,
    redis: String,
    user: Option<AclUser>,
    settings: Vec<(&'static str, &'static str)>,
    /// Separate from `service`, whose lock is held while a process starts.
    url: Mutex<String>,
    /// KiB.
    peak_memory: AtomicU64,
    stopped: Mutex<Vec<WorkerId>>,
}

impl System {
    pub(crate) fn start(appendfsync: &str, gateways: usize, workers: usize) -> Self {
        let servers = Servers::start(appendfsync);
        let network = Proxy::start(servers.primary().port());
        let dir = tempfile::Builder::new().prefix("atode-soak-").tempdir().expect("a temporary folder");
        let system = System {
            gateways: (0..gateways).map(|_| Slot::new(&network.addr())).collect(),
            workers: (0..workers).map(|_| Slot::new(&network.addr())).collect(),
            servers,
            network,
            dir,
            large_payloads: AtomicBool::new(false),
        };
        system.gateways.iter().for_each(Slot::ensure);
        system.workers.iter().for_each(Slot::ensure);
        system
    }

    /// The primary, reached without the bad network.
    pub(crate) fn redis(&self) -> &RedisServer {
        self.servers.primary()
    }
}

impl<B: Binary> Slot<B> {
    /// A slot of a soak: a user with few rights, short leases.
    fn new(redis: &str) -> Self {
        Slot { user: Some(servers::user()), ..Self::with_settings(redis, &SOAK) }
    }

    /// A slot for a process with these environment variables.
    pub(crate) fn with_settings(redis: &str, settings: &[(&'static str, &'static str)]) -> Self {
        Slot {
            service: Mutex::default(),
            redis: redis.to_owned(),
            user: None,
            settings: settings.to_vec(),
            url: Mutex::default(),
            peak_memory: AtomicU64::default(),
            stopped: Mutex::default(),
        }
    }

    /// Starts a process if none runs, and waits until it listens.
    pub(crate) fn ensure(&self) {
        let mut service = lock(&self.service);
        if service.as_ref().is_some_and(|service| service.try_exit().is_none()) {
            return;
        }
        *service = Some(self.started(self.builder()));
    }

    /// Stops the process and starts one whose stderr is a full pipe that nobody reads.
    pub(crate) fn restart_with_unread_stderr(&self) {
        self.terminate();
        let started = self.started(self.builder().unread(Stream::Stderr));
        started.fill(Stream::Stderr);
        *lock(&self.service) = Some(started);
    }

    fn builder(&self) -> ServiceBuilder<B> {
        let builder = Service::<B>::builder(&self.redis);
        let builder = self.user.iter().fold(builder, ServiceBuilder::redis_user);
        self.settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value))
    }

    fn started(&self, builder: ServiceBuilder<B>) -> Service<B> {
        let started = builder.start();
        started.base_url().clone_into(&mut lock(&self.url));
        started
    }

    pub(crate) fn is_running(&self) -> bool {
        lock(&self.service).as_ref().is_some_and(|service| service.try_exit().is_none())
    }

    /// Sends SIGTERM and waits for the exit.
    pub(crate) fn terminate(&self) {
        self.with(|service| {
            service.terminate();
            service.wait(Duration::from_secs(30));
            lock(&self.stopped).extend(worker_id(&service.stderr()));
        });
    }

    /// Workers that were stopped. They may have released jobs unspent.
    pub(crate) fn stopped(&self) -> Vec<WorkerId> {
        lock(&self.stopped).clone()
    }

    pub(crate) fn url(&self) -> String {
        lock(&self.url).clone()
    }

    /// Updates the peak of the resident memory, if the system has `/proc`.
    pub(crate) fn measure_memory(&self) {
        let Some(pid) = lock(&self.service).as_ref().map(|service| service.pid()) else { return };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = resident.and_then(|kb| kb.trim().split(' ').next()?.parse().ok()).unwrap_or_default();
        self.peak_memory.fetch_max(kib, Ordering::Relaxed);
    }

    /// Peak resident memory, MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed) / 1024
    }

    /// Acts on the process if it runs.
    pub(crate) fn with(&self, act: impl FnOnce(&Service<B>)) {
        if let Some(service) = lock(&self.service).as_ref().filter(|service| service.try_exit().is_none()) {
            act(service);
        }
    }
}

/// The worker's id in the first line of its log.
fn worker_id(log: &str) -> Option<WorkerId> {
    let (_, behind) = log.split_once("worker starting worker=")?;
    behind.split_whitespace().next()?.parse().ok()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
