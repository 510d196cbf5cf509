//! The limits of one process, in its memory. They use governor with a bounded store.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};

use crate::decision::{Decision, Denial, Quota};
use crate::policy::{Policy, Window};
use crate::subject::Subject;

/// The most clients that a window remembers.
pub const MAX_CLIENTS: usize = 100_000;

/// The number of buckets that further clients share until idle clients have been dropped. These clients are limited, but
/// none of them is locked out individually.
const SHARED_BUCKETS: u64 = 1_024;

/// A client's hash.
type ClientHash = u64;

type Instant = <DefaultClock as Clock>::Instant;

/// A policy, and the clients of this process that it has counted.
pub(crate) struct Memory {
    pub(crate) policy: Policy,
    windows: Vec<Limiter>,
    clock: DefaultClock,
    hasher: RandomState,
}

/// The governor of one window, and its store.
struct Limiter {
    window: Window,
    governor: RateLimiter<ClientHash, Bounded, DefaultClock>,
    states: Bounded,
    start: Instant,
}

impl Memory {
    pub(crate) fn new(policy: Policy) -> Self {
        let clock = DefaultClock::default();
        let windows = policy.windows.iter().map(|window| Limiter::new(*window, &clock)).collect();
        Memory { policy, windows, clock, hasher: RandomState::new() }
    }

    /// Allows a request if all windows allow it. Otherwise nothing is spent, except that of two simultaneous requests a
    /// refused one may spend the share of one window. A request too many never gets through.
    pub(crate) fn check(&self, client: &Subject, cost: NonZeroU32) -> Decision {
        let key = self.hasher.hash_one(client);
        let now = self.clock.now();
        let refused = |limiter: &Limiter, retry_after| {
            Decision::Denied(Denial { violated: limiter.window, retry_after, quotas: self.quotas(key) })
        };
        let waits = self.windows.iter().map(|limiter| (limiter, limiter.wait(key, cost, now)));
        if let Some((limiter, wait)) = waits.filter(|(_, wait)| !wait.is_zero()).max_by_key(|(_, wait)| *wait)
        {
            return refused(limiter, wait);
        }
        for limiter in &self.windows {
            match limiter.governor.check_key_n(&key, cost) {
                Ok(Ok(())) => {}
                Ok(Err(not_until)) => return refused(limiter, not_until.wait_time_from(now)),
                Err(_) => return Decision::TooLarge { most: limiter.window.limit },
            }
        }
        Decision::Allowed(self.quotas(key))
    }

    /// Counts requests that were allowed elsewhere, as far as they fit here.
    pub(crate) fn spend(&self, client: &Subject, cost: u32) {
        let key = self.hasher.hash_one(client);
        for limiter in &self.windows {
            let spent = |cost| {
                let cost = NonZeroU32::new(cost)?;
                limiter.governor.check_key_n(&key, cost).ok()?.ok()
            };
            if spent(cost).is_none() {
                spent(limiter.quota(key, self.clock.now()).remaining.min(cost));
            }
        }
    }

    fn quotas(&self, key: ClientHash) -> Vec<Quota> {
        let now = self.clock.now();
        self.windows.iter().map(|limiter| limiter.quota(key, now)).collect()
    }

    /// Forgets clients that have all of their quota again.
    pub(crate) fn drop_idle(&self) {
        for limiter in &self.windows {
            limiter.governor.retain_recent();
            limiter.governor.shrink_to_fit();
        }
    }

    /// The number of remembered clients, added over all windows.
    pub(crate) fn len(&self) -> usize {
        self.windows.iter().map(|limiter| limiter.states.len()).sum()
    }
}

impl Limiter {
    fn new(window: Window, clock: &DefaultClock) -> Self {
        let quota = governor::Quota::with_period(window.emission())
            .expect("an emission interval is at least a microsecond")
            .allow_burst(window.limit);
        let states = Bounded::default();
        let start = clock.now();
        Limiter { window, governor: RateLimiter::new(quota, states.clone(), clock.clone()), states, start }
    }

    /// The part of the limit that is in use, as time: how far ahead the theoretical arrival time is.
    fn used(&self, key: ClientHash, now: Instant) -> Duration {
        let arrival = self.states.measure_and_replace(&key, Err::<((), Nanos), _>);
        let arrival = arrival.err().flatten().map_or(Duration::ZERO, Duration::from);
        arrival.saturating_sub(now.duration_since(self.start).into())
    }

    /// Time until `cost` is allowed.
    fn wait(&self, key: ClientHash, cost: NonZeroU32, now: Instant) -> Duration {
        let room = self.window.emission() * (self.window.limit.get().saturating_sub(cost.get()));
        self.used(key, now).saturating_sub(room)
    }

    fn quota(&self, key: ClientHash, now: Instant) -> Quota {
        let emission = self.window.emission();
        let left = (emission * self.window.limit.get()).saturating_sub(self.used(key, now));
        Quota::new(self.window, (left.as_nanos() / emission.as_nanos()) as u32)
    }
}

/// governor's own store with a maximum size.
#[derive(Clone, Default)]
struct Bounded {
    states: Arc<DashMapStateStore<ClientHash>>,
    len: Arc<AtomicUsize>,
}

impl StateStore for Bounded {
    type Key = ClientHash;

    fn measure_and_replace<T, F, E>(&self, key: &ClientHash, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if !self.states.contains_key(key) && self.len.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return self.states.measure_and_replace(&(key % SHARED_BUCKETS), measure);
        }
        self.states.measure_and_replace(key, measure)
    }
}

impl ShrinkableKeyedStateStore<ClientHash> for Bounded {
    fn retain_recent(&self, drop_below: Nanos) {
        self.states.retain_recent(drop_below);
        self.len.store(self.states.len(), Ordering::Relaxed);
    }

    fn shrink_to_fit(&self) {
        self.states.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.states.len()
    }

    fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}
