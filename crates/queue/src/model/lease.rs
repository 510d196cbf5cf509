//! Leases, and the three types that name one. Only [`Lease`] can settle its job, and only a claim makes it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::id::JobId;

/// A number that grows with each lease of a job. A handler can write it beside an effect and refuse a smaller
/// one, so that an overtaken run changes nothing (fencing).
///
/// It is the time of the claim in µs since 1970, or the queue's last token + 1, so it stays below 2^53
/// and is exact as a JSON number. The jobs of one claim call share a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(u64);

/// A worker's right to a job for a limited time. Settling takes it by value, and nothing
/// copies it, so a job cannot be settled twice under one lease.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a job that is not settled comes back when its lease runs out"]
pub struct Lease(pub(crate) LeaseRef);

/// The name of a lease, for [`Client::extend`](crate::Client::extend). It cannot settle the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRef {
    pub(crate) queue: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) id: JobId,
    pub(crate) token: FencingToken,
}

/// The lease of another worker that had run out when [`Client::expired`](crate::Client::expired) looked, for
/// [`Client::reap`](crate::Client::reap). It cannot settle the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredLease(pub(crate) LeaseRef);

impl FencingToken {
    /// The token that reap writes into `state` instead of that of a settlement: the lease that ran out settled
    /// nothing, and its holder must learn that.
    pub(crate) const REAPED: FencingToken = FencingToken(0);

    pub const fn new(token: u64) -> Self {
        FencingToken(token)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn parse(token: &str) -> Option<Self> {
        token.parse().ok().map(FencingToken)
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LeaseRef {
    pub fn id(&self) -> JobId {
        self.id
    }

    pub fn queue(&self) -> &Arc<str> {
        &self.queue
    }

    pub fn kind(&self) -> &Arc<str> {
        &self.kind
    }

    pub fn token(&self) -> FencingToken {
        self.token
    }
}

impl Lease {
    /// The name of this lease, for extending it.
    pub fn reference(&self) -> LeaseRef {
        self.0.clone()
    }
}

impl Deref for Lease {
    type Target = LeaseRef;

    fn deref(&self) -> &LeaseRef {
        &self.0
    }
}

impl Deref for ExpiredLease {
    type Target = LeaseRef;

    fn deref(&self) -> &LeaseRef {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_number_in_text_in_json_and_in_order() {
        let token = FencingToken::parse("1700000000000001").expect("a number");
        assert!(token > FencingToken::new(999_999_999_999_999)); // as texts the other way round
        assert_eq!(token.to_string(), "1700000000000001");
        assert_eq!(serde_json::to_string(&token).expect("a number"), "1700000000000001");
        assert_eq!(FencingToken::parse(""), None);
    }
}
