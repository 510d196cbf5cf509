//! What a limiter answers.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::policy::Window;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on. The windows as they stand after it, for the reply's headers.
    Allowed(Vec<Quota>),
    Denied(Denial),
    /// The cost exceeds what could ever be allowed: trying again is no use.
    TooLarge {
        most: NonZeroU32,
    },
    /// The backend is away and the configuration says to refuse then.
    Unavailable,
}

/// A window as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub window: Window,
    pub remaining: u32,
    /// Until all of the limit is available again.
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
