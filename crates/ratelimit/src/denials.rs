//! Refusals of the shared backend, remembered until they end: an attack does not reach it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::decision::Denial;

/// Refused clients remembered.
const MAX_REMEMBERED: u64 = 100_000;

pub(crate) struct Denials {
    refused: Cache<String, Refusal>,
}

#[derive(Clone)]
struct Refusal {
    cost: NonZeroU32,
    denial: Denial,
    until: Instant,
}

struct UntilItEnds;

impl Expiry<String, Refusal> for UntilItEnds {
    fn expire_after_create(&self, _: &String, refusal: &Refusal, now: Instant) -> Option<Duration> {
        Some(refusal.until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &String,
        refusal: &Refusal,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(refusal.until.saturating_duration_since(now))
    }
}

impl Denials {
    pub(crate) fn new() -> Self {
        Denials { refused: Cache::builder().max_capacity(MAX_REMEMBERED).expire_after(UntilItEnds).build() }
    }

    pub(crate) fn remember(&self, key: &str, cost: NonZeroU32, denial: &Denial) {
        let until = Instant::now() + denial.retry_after;
        self.refused.insert(key.to_owned(), Refusal { cost, denial: denial.clone(), until });
    }

    /// A refusal that holds for this cost too: what was refused for a smaller or equal cost would
    /// be refused again. A greater cost is, too; a smaller one may be allowed and has to ask.
    pub(crate) fn holds(&self, key: &str, cost: NonZeroU32) -> Option<Denial> {
        let refusal = self.refused.get(key).filter(|refusal| cost >= refusal.cost)?;
        let retry_after =
            refusal.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        Some(Denial { retry_after, ..refusal.denial })
    }
}
