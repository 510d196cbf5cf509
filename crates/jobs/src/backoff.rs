//! How long a job waits after a failed attempt.

use std::time::Duration;

/// Exponential with a ceiling and jitter, so that jobs that failed together do not come back
/// together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Each further failure multiplies the wait by this.
    pub factor: f64,
    /// The wait never exceeds this.
    pub ceiling: Duration,
    /// The wait varies by this share in both directions, 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// 5 s, doubled up to 1 h, ± 20 %.
    pub const EXPONENTIAL: Backoff = Backoff {
        first: Duration::from_secs(5),
        factor: 2.0,
        ceiling: Duration::from_secs(60 * 60),
        jitter: 0.2,
    };

    /// After a crash: soon the first time, for most jobs are innocent of it.
    pub const CRASH: Backoff = Backoff {
        first: Duration::from_millis(500),
        factor: 8.0,
        ceiling: Duration::from_secs(5 * 60),
        jitter: 0.2,
    };

    /// The wait after `failures` failed attempts (≥ 1). `random` is uniform in 0…1 and decides
    /// the jitter, so that the same input always gives the same wait.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let doublings = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let wait = self.first.as_secs_f64() * self.factor.powi(doublings);
        let jitter = 1.0 + self.jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        let ceiling = self.ceiling.as_secs_f64();
        Duration::try_from_secs_f64((wait.min(ceiling) * jitter).min(ceiling)).unwrap_or(self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_ceiling() {
        let seconds = |failures| Backoff::EXPONENTIAL.delay(failures, 0.5).as_secs_f64();
        assert!((seconds(1) - 5.0).abs() < 1e-9);
        assert!((seconds(2) - 10.0).abs() < 1e-9);
        assert!((seconds(5) - 80.0).abs() < 1e-9);
        assert!((seconds(20) - 3_600.0).abs() < 1e-9);
        assert!((seconds(u32::MAX) - 3_600.0).abs() < 1e-9);
    }

    #[test]
    fn without_a_ceiling_it_grows_to_the_longest_wait_there_is() {
        let endless = Backoff { ceiling: Duration::MAX, ..Backoff::EXPONENTIAL };
        assert_eq!(endless.delay(2_000, 1.0), Duration::MAX);
    }

    #[test]
    fn jitter_stays_within_its_share_and_below_the_ceiling() {
        let wait = |failures, random| Backoff::EXPONENTIAL.delay(failures, random).as_secs_f64();
        assert!((wait(1, 0.0) - 4.0).abs() < 1e-9);
        assert!((wait(1, 1.0) - 6.0).abs() < 1e-9);
        assert!((wait(50, 1.0) - 3_600.0).abs() < 1e-9);
    }
}
