//! Policies: a policy has one or more windows, and each window is a GCRA (generic cell rate algorithm, ITU-T I.371).
//!
//! A window of `limit` per `period` lets a burst of `limit` through at once, and then one more every `period / limit`.
//! All arithmetic is in whole microseconds, so that both backends make the same decisions.

use std::num::NonZeroU32;
use std::time::Duration;

use atode_config::RateLimit;

/// A limit over a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The policy's name in headers and problems.
    pub name: &'static str,
    pub limit: NonZeroU32,
    pub period: Duration,
}

/// The windows that requests, or jobs, are counted in. The shortest period comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Separates its counts from those of other policies.
    pub(crate) id: &'static str,
    pub(crate) windows: Vec<Window>,
}

/// The most windows of a policy.
pub(crate) const MAX_WINDOWS: usize = 2;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Window {
    fn new(name: &'static str, limit: u32, period: Duration) -> Option<Self> {
        NonZeroU32::new(limit).map(|limit| Window { name, limit, period })
    }

    /// Time until one more is allowed. Rounded up, so that the limit is never exceeded.
    pub(crate) fn emission(&self) -> Duration {
        Duration::from_micros((self.period.as_micros() as u64).div_ceil(self.limit.get().into()))
    }
}

impl Policy {
    pub(crate) fn requests(limits: &RateLimit) -> Self {
        let minute = Window::new("minute", limits.requests_per_minute, MINUTE);
        Self::new("requests", [minute, Window::new("hour", limits.requests_per_hour, HOUR)])
    }

    pub(crate) fn jobs(limits: &RateLimit) -> Self {
        Self::new("jobs", [Window::new("jobs-per-minute", limits.jobs_per_minute, MINUTE), None])
    }

    fn new(id: &'static str, windows: [Option<Window>; MAX_WINDOWS]) -> Self {
        Policy { id, windows: windows.into_iter().flatten().collect() }
    }

    /// The largest cost that can ever be allowed. `None` if nothing is limited.
    pub(crate) fn largest_cost(&self) -> Option<NonZeroU32> {
        self.windows.iter().map(|window| window.limit).min()
    }
}
