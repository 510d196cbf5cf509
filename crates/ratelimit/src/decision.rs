//! The answers of a limiter.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::policy::Window;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The request may proceed. The quotas are those after the request, for the reply's headers.
    Allowed(Vec<Quota>),
    Denied(Denial),
    /// The cost exceeds the largest cost that can ever be allowed. Retrying is useless.
    TooLarge {
        most: NonZeroU32,
    },
    /// The backend is away, and the configuration refuses requests in that case.
    Unavailable,
}

/// The current state of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub window: Window,
    pub remaining: u32,
    /// Time until the whole limit is available again.
    pub reset: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The policy that refused.
    pub violated: Window,
    pub retry_after: Duration,
    pub quotas: Vec<Quota>,
}

impl Quota {
    pub(crate) fn new(window: Window, remaining: u32) -> Self {
        let used = window.limit.get().saturating_sub(remaining);
        Quota { window, remaining, reset: window.emission() * used }
    }
}
