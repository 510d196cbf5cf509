//! A memory of the shared backend's refusals. Until a refusal ends, requests of that client do not reach the backend,
//! so an attack does not load it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::decision::Denial;
use crate::subject::Subject;

/// The most refused clients that are remembered.
const MAX_REMEMBERED: u64 = 100_000;

pub(crate) struct Denials {
    refused: Cache<Client, Refusal>,
    start: Instant,
    /// The end of the last refusal, in µs since `start`. After it, no lookup is needed.
    last_end: AtomicU64,
}

/// A policy's id and a client.
type Client = (&'static str, Subject);

#[derive(Clone)]
struct Refusal {
    cost: NonZeroU32,
    denial: Denial,
    until: Instant,
}

struct UntilItEnds;

impl Expiry<Client, Refusal> for UntilItEnds {
    fn expire_after_create(&self, _: &Client, refusal: &Refusal, now: Instant) -> Option<Duration> {
        Some(refusal.until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &Client,
        refusal: &Refusal,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(refusal.until.saturating_duration_since(now))
    }
}

impl Denials {
    pub(crate) fn new() -> Self {
        let refused = Cache::builder().max_capacity(MAX_REMEMBERED).expire_after(UntilItEnds).build();
        Denials { refused, start: Instant::now(), last_end: AtomicU64::new(0) }
    }

    pub(crate) fn remember(&self, id: &'static str, subject: &Subject, cost: NonZeroU32, denial: &Denial) {
        let until = Instant::now() + denial.retry_after;
        self.refused.insert((id, subject.clone()), Refusal { cost, denial: denial.clone(), until });
        self.last_end.fetch_max(self.micros(until), Ordering::Release);
    }

    /// The remembered refusal, if it applies to this cost. A refused cost and every greater one would be refused again;
    /// a smaller one may be allowed, so Redis has to decide.
    pub(crate) fn find(&self, id: &'static str, subject: &Subject, cost: NonZeroU32) -> Option<Denial> {
        let now = Instant::now();
        if self.micros(now) >= self.last_end.load(Ordering::Acquire) {
            return None;
        }
        let refusal = self.refused.get(&(id, subject.clone())).filter(|refusal| cost >= refusal.cost)?;
        let retry_after = refusal.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Denial { retry_after, ..refusal.denial })
    }

    fn micros(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_micros() as u64
    }
}
