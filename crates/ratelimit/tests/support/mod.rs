//! A limiter on each backend.

use std::collections::HashMap;
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, StorageType};
use atode_ratelimit::{Limits, RateLimiter, Settings, Subject};
use atode_testkit::{RedisCluster, RedisServer};

pub enum Backend {
    Memory,
    Redis(RedisServer),
    Cluster(RedisCluster),
}

impl Backend {
    pub fn all() -> Vec<(&'static str, Backend)> {
        vec![
            ("memory", Backend::Memory),
            ("redis", Backend::Redis(RedisServer::builder().no_aof().start())),
            ("cluster", Backend::Cluster(RedisCluster::start())),
        ]
    }

    fn addrs(&self) -> Vec<String> {
        match self {
            Backend::Memory => Vec::new(),
            Backend::Redis(server) => vec![server.addr()],
            Backend::Cluster(cluster) => cluster.addrs(),
        }
    }

    /// One gateway's limiter.
    pub async fn limiter(&self, limits: Limits) -> RateLimiter {
        RateLimiter::start(&settings(limits), &redis_at(&self.addrs())).await.expect("a limiter")
    }
}

pub fn redis_at(addrs: &[String]) -> DefaultRedis {
    let addrs = addrs.iter().map(|addr| addr.parse().expect("an address")).collect();
    DefaultRedis { addrs, ..DefaultRedis::default() }
}

pub fn settings(limits: Limits) -> Settings {
    Settings {
        limits,
        limits_of_keys: HashMap::new(),
        storage: StorageType::Auto,
        on_error: OnError::Memory,
        // The machines that tests run on are busy: what is tested here are decisions, not speed.
        deadline: Duration::from_secs(2),
    }
}

pub fn limits(requests_per_minute: u32, requests_per_hour: u32, jobs_per_minute: u32) -> Limits {
    Limits { requests_per_minute, requests_per_hour, jobs_per_minute }
}

pub fn client(n: u8) -> Subject {
    Subject::Address([10, 0, 0, n].into())
}
