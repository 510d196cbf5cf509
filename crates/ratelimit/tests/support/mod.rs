//! Settings shared by the tests of this crate.

use std::time::Duration;

use atode_config::RateLimit;
use atode_config::redis::DefaultRedis;
use atode_ratelimit::Subject;

pub(crate) fn redis_at(addrs: &[String]) -> DefaultRedis {
    let addrs = addrs.iter().map(|addr| addr.parse().expect("an address")).collect();
    DefaultRedis { addrs, ..DefaultRedis::default() }
}

pub(crate) fn limits(requests_per_minute: u32, requests_per_hour: u32, jobs_per_minute: u32) -> RateLimit {
    RateLimit {
        requests_per_minute,
        requests_per_hour,
        jobs_per_minute,
        // Long, because test machines are busy and these tests are about decisions, not speed.
        deadline: Duration::from_secs(2),
        ..RateLimit::default()
    }
}

pub(crate) fn client(n: u8) -> Subject {
    Subject::Address([10, 0, 0, n].into())
}
