//! Redis' clock as seen from here: every reply of a script carries it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Redis' time as of the last reply, carried on by our monotonic clock: setting this machine's
/// clock changes nothing. Before the first reply the two clocks are taken to agree.
#[derive(Debug)]
pub(crate) struct RedisClock {
    start: Instant,
    /// Redis' time at `start`, Unix µs: in whole ms it would now and then be ahead of Redis by one.
    at_start: AtomicI64,
}

impl Default for RedisClock {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        RedisClock { start: Instant::now(), at_start: AtomicI64::new(now) }
    }
}

impl RedisClock {
    /// Unix ms.
    pub(crate) fn now(&self) -> i64 {
        (self.at_start.load(Ordering::Relaxed) + self.elapsed()).div_euclid(1_000)
    }

    /// `redis_now` in Unix ms.
    pub(crate) fn observe(&self, redis_now: i64) {
        self.at_start
            .store(redis_now.saturating_mul(1_000).saturating_sub(self.elapsed()), Ordering::Relaxed);
    }

    /// µs
    fn elapsed(&self) -> i64 {
        self.start.elapsed().as_micros() as i64
    }
}
