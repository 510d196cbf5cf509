//! Redis' clock as seen from here: every reply of a script carries it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far Redis' clock is ahead of this machine's, as of the last reply. Before the first reply
/// the two are taken to agree.
#[derive(Debug, Default)]
pub(crate) struct RedisClock {
    ahead_ms: AtomicI64,
}

impl RedisClock {
    /// Unix ms.
    pub(crate) fn now(&self) -> i64 {
        local_now() + self.ahead_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn observe(&self, redis_now: i64) {
        self.ahead_ms.store(redis_now - local_now(), Ordering::Relaxed);
    }
}

fn local_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
