//! The limits of one process, in its memory, with the same algorithm as `gcra.lua`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::iter::zip;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::decision::{Decision, Denial, Quota};
use crate::policy::{MAX_WINDOWS, Policy};
use crate::subject::Subject;

/// The most clients that are remembered.
pub const MAX_CLIENTS: usize = 100_000;

/// The number of buckets that further clients share until idle clients have been dropped. These clients are limited, but
/// none of them is locked out individually.
const SHARED_BUCKETS: u64 = 1_024;

/// The number of parts that the clients are divided into, each with its own lock. It divides [`SHARED_BUCKETS`], so the
/// shared bucket of a client is in the same part.
const SHARDS: usize = 16;

/// Clients by their hash.
type Shard = HashMap<u64, Arrivals>;

/// The theoretical arrival time of each window: when its whole limit is available again.
type Arrivals = [Instant; MAX_WINDOWS];

/// A policy, and the clients of this process that it has counted.
pub(crate) struct Memory {
    pub(crate) policy: Policy,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Memory {
    pub(crate) fn new(policy: Policy) -> Self {
        Memory { policy, shards: Default::default(), hasher: RandomState::new() }
    }

    /// Allows a request if all windows allow it. Otherwise nothing is spent. The cost is at most the smallest limit.
    pub(crate) fn check(&self, client: &Subject, cost: NonZeroU32) -> Decision {
        let windows = &self.policy.windows;
        self.with_arrivals(client, |now, arrivals| {
            let waits = zip(windows, &*arrivals).map(|(window, arrival)| {
                let earliest = *arrival + window.emission() * cost.get();
                (*window, earliest.saturating_duration_since(now + window.burst()))
            });
            let refused = waits.filter(|(_, wait)| !wait.is_zero()).max_by_key(|(_, wait)| *wait);
            if refused.is_none() {
                zip(windows, &mut *arrivals)
                    .for_each(|(window, arrival)| *arrival += window.emission() * cost.get());
            }
            let quotas = zip(windows, arrivals).map(|(window, arrival)| {
                let left = window.burst().saturating_sub(arrival.duration_since(now));
                Quota::new(*window, (left.as_nanos() / window.emission().as_nanos()) as u32)
            });
            match refused {
                None => Decision::Allowed(quotas.collect()),
                Some((violated, retry_after)) => {
                    Decision::Denied(Denial { violated, retry_after, quotas: quotas.collect() })
                }
            }
        })
    }

    /// Counts requests that were allowed elsewhere, as far as they fit here.
    pub(crate) fn spend(&self, client: &Subject, cost: u32) {
        self.with_arrivals(client, |now, arrivals| {
            for (window, arrival) in zip(&self.policy.windows, arrivals) {
                *arrival = (*arrival + window.emission() * cost).min(now + window.burst());
            }
        });
    }

    /// Forgets clients that have all of their quota again.
    pub(crate) fn drop_idle(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.retain(|_, arrivals| arrivals.iter().any(|arrival| *arrival > now));
            shard.shrink_to_fit();
        }
    }

    /// The number of remembered clients.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Calls `decide` with the current time and the client's arrival times, none of which is in the past.
    fn with_arrivals<T>(&self, client: &Subject, decide: impl FnOnce(Instant, &mut Arrivals) -> T) -> T {
        let mut hash = self.hasher.hash_one(client);
        let mut shard = lock(&self.shards[hash as usize % SHARDS]);
        if shard.len() >= MAX_CLIENTS / SHARDS && !shard.contains_key(&hash) {
            hash %= SHARED_BUCKETS;
        }
        let now = Instant::now();
        let arrivals = shard.entry(hash).or_insert([now; MAX_WINDOWS]);
        *arrivals = arrivals.map(|arrival| arrival.max(now));
        decide(now, arrivals)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
