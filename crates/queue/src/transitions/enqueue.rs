//! Storing new jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use fred::types::{Key, Value};
use sha2::{Digest, Sha256};

use crate::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::JobId;
use crate::model::record::{Durability, Record};
use crate::redis::connection::Connection;
use crate::scripts::ENQUEUE;
use crate::transitions::settle::millis;

/// How long an idempotency key is remembered, unless its caller says otherwise.
const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// When a job is due.
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
    /// Of [`Client::enqueue`] only.
    pub durability: Option<Durability>,
}

/// The key under which a client may send the same request again, and a hash of what it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    key: String,
    body: String,
    ttl: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// Stored at this instant of Redis' clock, Unix ms.
    Created { at: i64 },
    /// The same key and body came before and made this job.
    Duplicate(JobId),
    /// The key came before, with another body, and made this job.
    Conflict(JobId),
}

/// What becomes of a batch of which one job is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    AllOrNothing,
    Each,
}

impl Due {
    /// As scripts take it: a delay in ms, or minus an instant.
    pub(crate) fn to_arg(self) -> Value {
        match self {
            Due::After(delay) => millis(delay),
            Due::At(at) => Value::Integer(-at.max(1)),
        }
    }
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
            record: record.encode().into(),
            due,
            idempotency: None,
            durability: record.durability,
        }
    }

    /// Bytes that it takes of a call, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.record.len() + 64
    }
}

impl Idempotency {
    /// `scope` parts one client's keys from another's.
    pub fn new(scope: &str, key: &str, body: &[u8]) -> Self {
        let mut scoped = Sha256::new();
        scoped.update(scope.as_bytes());
        scoped.update([0]);
        scoped.update(key.as_bytes());
        let body = short_hash(Sha256::new().chain_update(body));
        Idempotency { key: short_hash(scoped), body, ttl: IDEMPOTENCY_TTL }
    }

    /// Remembered for so long. The same for all jobs of a queue: those of one call share it.
    #[must_use]
    pub fn remembered_for(self, ttl: Duration) -> Self {
        Idempotency { ttl, ..self }
    }
}

impl Client {
    /// Stores a job. Alone it waits for nobody; under load many share one round trip, and one fsync.
    pub async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        self.lane(&job.queue, job.durability).enqueue(job).await
    }

    /// Stores jobs of one queue: all of them or none, in one call (≤ [`MAX_BATCH`] jobs).
    pub async fn enqueue_all_or_nothing(&self, queue: &str, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        self.enqueue_call(self.connection(), queue, jobs, Atomicity::AllOrNothing).await
    }

    /// Stores jobs of one queue, each on its own account, in as few calls as they fit into, one after the
    /// other. After a call that fails nothing more is sent, so at most one call's jobs have an unknown outcome.
    pub async fn enqueue_each(&self, queue: &str, jobs: &[NewJob]) -> Vec<Result<Enqueued, Error>> {
        self.enqueue_each_within(Duration::MAX, queue, jobs).await
    }

    /// [`enqueue_each`](Self::enqueue_each) for a caller who waits no longer than this: a call that has no answer
    /// by then has an unknown outcome, and the calls behind it are not sent.
    pub async fn enqueue_each_within(
        &self,
        patience: Duration,
        queue: &str,
        jobs: &[NewJob],
    ) -> Vec<Result<Enqueued, Error>> {
        let start = Instant::now();
        let mut results = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (call, behind) = rest.split_at(self.outgoing().fitting(rest.iter().map(NewJob::weight)));
            let sent = self.enqueue_call(self.connection(), queue, call, Atomicity::Each);
            // Boxed: the timer would make the futures of all callers larger.
            let sent = tokio::time::timeout(patience.saturating_sub(start.elapsed()), Box::pin(sent)).await;
            match sent.unwrap_or_else(|_| Err(Error::Unknown("no answer in time".to_owned()))) {
                Ok(stored) => results.extend(stored.into_iter().map(Ok)),
                Err(error) => {
                    results.extend(call.iter().map(|_| Err(error.clone())));
                    results.extend(behind.iter().map(|_| Err(error.for_what_was_not_sent())));
                    return results;
                }
            }
            rest = behind;
        }
        results
    }

    pub(crate) async fn enqueue_call(
        &self,
        connection: &Connection,
        queue: &str,
        jobs: &[NewJob],
        atomicity: Atomicity,
    ) -> Result<Vec<Enqueued>, Error> {
        debug_assert!(jobs.len() <= MAX_BATCH);
        let keys = self.keys().queue(queue);
        // The script takes a kind's jobs together; `order` says which of `jobs` stands where.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|job| &jobs[*job].kind);
        let in_order = || order.iter().map(|job| &jobs[*job]);
        let of_kinds: Vec<&[usize]> = order.chunk_by(|a, b| jobs[*a].kind == jobs[*b].kind).collect();
        let kinds = || of_kinds.iter().map(|of_kind| &*jobs[of_kind[0]].kind);

        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.kinds().into(), keys.stats().into()];
        script_keys.extend(kinds().map(|kind| Key::from(keys.set(kind, Set::Due))));
        let mut args: Vec<Value> = Vec::with_capacity(5 + 2 * of_kinds.len() + 5 * jobs.len());
        args.push(i64::from(atomicity == Atomicity::AllOrNothing).into());
        args.push(keys.wake_channel().into());
        let ttl = jobs.iter().find_map(|job| Some(job.idempotency.as_ref()?.ttl));
        args.push(millis(ttl.unwrap_or(IDEMPOTENCY_TTL)));
        args.push((of_kinds.len() as i64).into());
        args.push((jobs.len() as i64).into());
        args.extend(in_order().flat_map(|job| [job.id.short().into(), Value::Bytes(job.record.clone())]));
        args.extend(in_order().map(|job| job.due.to_arg()));
        args.extend(kinds().map(Value::from));
        args.extend(of_kinds.iter().map(|of_kind| Value::from(of_kind.len() as i64)));
        let mut with_key: Vec<(usize, &Idempotency)> = in_order()
            .enumerate()
            .filter_map(|(place, job)| Some((place, job.idempotency.as_ref()?)))
            .collect();
        // Of two jobs with one key, the caller's first is stored.
        with_key.sort_by_key(|(place, _)| order[*place]);
        for (place, idempotency) in with_key {
            script_keys.push(keys.idempotency(&idempotency.key).into());
            args.push((place as i64 + 1).into());
            args.push(idempotency.body.as_str().into());
        }

        // Whether or not the catalogue has it now: no job was sent.
        self.announce(queue).await.map_err(|error| match error {
            Error::Unknown(why) => Error::NotSent(why),
            other => other,
        })?;
        let sent = Instant::now();
        let reply = self.call_on(connection, &ENQUEUE, script_keys, args).await;
        let carried = jobs.iter().map(NewJob::weight).sum();
        self.outgoing().observe(carried, sent.elapsed(), connection.command_timeout(), &reply);
        decode(&reply?, &order).ok_or_else(|| Error::corrupt(format!("the reply of {}", ENQUEUE.name)))
    }
}

/// Place and holder of each job that was not stored; all others were.
fn decode(reply: &[Value], order: &[usize]) -> Option<Vec<Enqueued>> {
    let mut results = vec![Enqueued::Created { at: reply.first()?.as_i64()? }; order.len()];
    for exception in reply[1..].chunks_exact(2) {
        let place = usize::try_from(exception[0].as_i64()?).ok()?;
        let holder = exception[1].as_str()?;
        let (verdict, id) = holder.split_at_checked(1)?;
        let id = id.parse().ok()?;
        *results.get_mut(*order.get(place)?)? =
            if verdict == "=" { Enqueued::Duplicate(id) } else { Enqueued::Conflict(id) };
    }
    Some(results)
}

/// 128 bits, 22 characters.
pub(crate) fn short_hash(hash: Sha256) -> String {
    BASE64URL_NOPAD.encode(&hash.finalize()[..16])
}
