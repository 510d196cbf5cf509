//! A job that is about to be stored, and the answer to it.

use std::sync::Arc;
use std::time::Duration;

use atode_config::traces::Trace;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::model::digest;
use crate::model::id::JobId;
use crate::model::record::{self, Durability, Record};

/// Lifetime of an idempotency key, unless its caller sets another.
pub(crate) const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The instant at which a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// This long after Redis stores it.
    After(Duration),
    /// At this instant of Redis' clock, Unix ms.
    At(i64),
}

#[derive(Debug, Clone)]
pub struct NewJob {
    pub id: JobId,
    pub queue: Arc<str>,
    pub kind: Arc<str>,
    pub record: Bytes,
    pub due: Due,
    pub idempotency: Option<Idempotency>,
    /// Only [`Client::enqueue`](crate::Client::enqueue) waits for the disk; batches do not.
    pub durability: Option<Durability>,
    /// The trace that the record carries; [`NewJob::caused_by`] sets both.
    pub trace: Option<Trace>,
}

/// The key under which a client may repeat a request, and a hash of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) ttl: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// Stored at this instant of Redis' clock, Unix ms.
    Created { at: i64 },
    /// An earlier request with the same key and body stored this job.
    Duplicate(JobId),
    /// An earlier request with the same key and another body stored this job.
    Conflict(JobId),
}

/// The fate of a batch in which one job is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    AllOrNothing,
    Each,
}

impl Enqueued {
    pub fn is_created(self) -> bool {
        matches!(self, Enqueued::Created { .. })
    }
}

impl NewJob {
    pub fn new(id: JobId, queue: &Arc<str>, kind: &Arc<str>, record: &Record<'_>, due: Due) -> Self {
        NewJob {
            id,
            queue: queue.clone(),
            kind: kind.clone(),
            record: record.encode(kind).into(),
            due,
            idempotency: None,
            durability: record.durability,
            trace: record.trace.clone(),
        }
    }

    /// The job, which carries this trace.
    #[must_use]
    pub fn caused_by(self, trace: Option<Trace>) -> Self {
        let Some(trace) = trace else { return self };
        NewJob { record: record::with_trace(&self.record, &trace).into(), trace: Some(trace), ..self }
    }

    /// Approximate bytes of the job in a call.
    pub(crate) fn weight(&self) -> usize {
        self.record.len() + 64
    }
}

impl Idempotency {
    /// `scope` keeps the keys of two clients apart.
    pub fn new(scope: &str, key: &str, body: &[u8]) -> Self {
        let mut scoped = Sha256::new();
        scoped.update(scope.as_bytes());
        scoped.update([0]);
        scoped.update(key.as_bytes());
        let body = digest::short(Sha256::new().chain_update(body));
        Idempotency { key: digest::short(scoped), body, ttl: IDEMPOTENCY_TTL }
    }

    /// Sets the lifetime of the key. All jobs of one call share it, so it must be the same for a whole queue.
    #[must_use]
    pub fn remembered_for(self, ttl: Duration) -> Self {
        Idempotency { ttl, ..self }
    }
}
