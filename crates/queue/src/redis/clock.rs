//! The estimate of Redis' clock. Every reply of a script carries Redis' time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds. A time that is further behind comes from a clock that was set back, not from a slow reply.
const SLOWEST_REPLY: i64 = 100_000;

/// Each reply corrects this part of the difference, because clocks do not run at the same speed.
const DRIFT: i64 = 64;

/// Redis' time from the last reply, continued by the monotonic clock: setting this machine's clock changes nothing.
/// Before the first reply the two clocks are assumed to agree.
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

    /// The time until Redis' clock shows `at`, Unix ms.
    pub(crate) fn until(&self, at: i64) -> Duration {
        let now = self.at_start.load(Ordering::Relaxed) + self.elapsed();
        Duration::from_micros(at.saturating_mul(1_000).saturating_sub(now).max(0) as u64)
    }

    /// `redis_now` in Unix ms. A reply shows a past time: it is rounded down to a millisecond, and it travelled. So
    /// the reply that shows the latest time is the most accurate.
    pub(crate) fn observe(&self, redis_now: i64) {
        let shown = redis_now.saturating_mul(1_000).saturating_sub(self.elapsed());
        let known = self.at_start.load(Ordering::Relaxed);
        let behind = known - shown;
        let at_start = if (0..=SLOWEST_REPLY).contains(&behind) { known - behind / DRIFT } else { shown };
        self.at_start.store(at_start, Ordering::Relaxed);
    }

    /// Microseconds.
    fn elapsed(&self) -> i64 {
        self.start.elapsed().as_micros() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observes a clock that is `ahead` ms ahead of this one.
    fn observe(clock: &RedisClock, ahead: i64) {
        clock.observe(1_800_000_000_000 + ahead + clock.elapsed() / 1_000);
    }

    /// The estimate of `ahead`, in ms.
    fn estimate(clock: &RedisClock) -> i64 {
        (clock.at_start.load(Ordering::Relaxed) - 1_800_000_000_000_000).div_euclid(1_000)
    }

    #[test]
    fn the_reply_that_shows_the_latest_time_counts() {
        let clock = RedisClock::default();
        for ahead in [50, 52, 51, 50, 20] {
            observe(&clock, ahead);
        }
        assert!((51..=52).contains(&estimate(&clock)), "{}", estimate(&clock));
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let clock = RedisClock::default();
        for ahead in [50, 3_600_000, -3_600_000] {
            observe(&clock, ahead);
            assert!((ahead - 1..=ahead).contains(&estimate(&clock)), "{}", estimate(&clock));
        }
    }

    #[test]
    fn a_past_instant_is_not_waited_for() {
        let clock = RedisClock::default();
        for past in [i64::MIN, 0, clock.now()] {
            assert_eq!(clock.until(past), Duration::ZERO);
        }
        assert!(clock.until(clock.now() + 1_000) > Duration::from_millis(900));
        assert!(clock.until(i64::MAX) > Duration::from_secs(86_400));
    }
}
