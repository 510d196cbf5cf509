//! Settings shared by the tests of this crate.

use std::collections::HashMap;
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, StorageType};
use atode_ratelimit::{Limits, Settings, Subject};

pub(crate) fn redis_at(addrs: &[String]) -> DefaultRedis {
    let addrs = addrs.iter().map(|addr| addr.parse().expect("an address")).collect();
    DefaultRedis { addrs, ..DefaultRedis::default() }
}

pub(crate) fn settings(limits: Limits) -> Settings {
    Settings {
        limits,
        limits_of_keys: HashMap::new(),
        storage: StorageType::Auto,
        on_error: OnError::Memory,
        // Long, because test machines are busy and these tests are about decisions, not speed.
        deadline: Duration::from_secs(2),
    }
}

pub(crate) fn limits(requests_per_minute: u32, requests_per_hour: u32, jobs_per_minute: u32) -> Limits {
    Limits { requests_per_minute, requests_per_hour, jobs_per_minute }
}

pub(crate) fn client(n: u8) -> Subject {
    Subject::Address([10, 0, 0, n].into())
}
