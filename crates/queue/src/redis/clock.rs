//! Redis' clock as seen from here: every reply of a script carries it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// µs. What is further behind is taken at its word: it comes of a clock that was set back rather than
/// of a slow reply.
const SLOWEST_REPLY: i64 = 100_000;

/// Which share of being behind each reply takes off: clocks do not run alike.
const DRIFT: i64 = 64;

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

    /// From now until Redis' clock shows `at`, Unix ms.
    pub(crate) fn until(&self, at: i64) -> Duration {
        let now = self.at_start.load(Ordering::Relaxed) + self.elapsed();
        Duration::from_micros(at.saturating_mul(1_000).saturating_sub(now).max(0) as u64)
    }

    /// `redis_now` in Unix ms. A reply tells a time that has passed: the part of a millisecond that it
    /// leaves out ago, and its way here. The one that shows the latest time is nearest to the truth.
    pub(crate) fn observe(&self, redis_now: i64) {
        let told = redis_now.saturating_mul(1_000).saturating_sub(self.elapsed());
        let known = self.at_start.load(Ordering::Relaxed);
        let behind = known - told;
        let at_start = if (0..=SLOWEST_REPLY).contains(&behind) { known - behind / DRIFT } else { told };
        self.at_start.store(at_start, Ordering::Relaxed);
    }

    /// µs
    fn elapsed(&self) -> i64 {
        self.start.elapsed().as_micros() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Redis' clock, Unix ms, `ahead` ms ahead of this one as it is at the start.
    fn told(clock: &RedisClock, ahead: i64) {
        clock.observe(1_800_000_000_000 + ahead + clock.elapsed() / 1_000);
    }

    /// How far ahead of that it is taken to be, ms.
    fn taken(clock: &RedisClock) -> i64 {
        (clock.at_start.load(Ordering::Relaxed) - 1_800_000_000_000_000).div_euclid(1_000)
    }

    #[test]
    fn the_reply_that_shows_the_latest_time_counts() {
        let clock = RedisClock::default();
        for ahead in [50, 52, 51, 50, 20] {
            told(&clock, ahead);
        }
        assert!((51..=52).contains(&taken(&clock)), "{}", taken(&clock));
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let clock = RedisClock::default();
        for ahead in [50, 3_600_000, -3_600_000] {
            told(&clock, ahead);
            assert!((ahead - 1..=ahead).contains(&taken(&clock)), "{}", taken(&clock));
        }
    }

    #[test]
    fn what_is_past_is_not_waited_for() {
        let clock = RedisClock::default();
        for past in [i64::MIN, 0, clock.now()] {
            assert_eq!(clock.until(past), Duration::ZERO);
        }
        assert!(clock.until(clock.now() + 1_000) > Duration::from_millis(900));
        assert!(clock.until(i64::MAX) > Duration::from_secs(86_400));
    }
}
