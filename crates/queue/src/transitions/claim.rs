//! Claiming due jobs for a limited time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::types::{Key, Value};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::crashes;
use crate::model::history::History;
use crate::model::lease::{FencingToken, Lease, LeaseRef};
use crate::scripts::CLAIM;
use crate::wire::{self, Reply};
use crate::workers::announcement::Announcement;

#[derive(Debug)]
pub struct ClaimOptions<'a> {
    pub queue: &'a Arc<str>,
    /// The kinds that the caller can run. Their jobs are taken in this order.
    pub kinds: &'a [Arc<str>],
    /// Maximum number of jobs taken (≤ [`MAX_BATCH`]).
    pub limit: usize,
    pub lease: Duration,
    /// The worker as JSON ([`WorkerRef`](crate::WorkerRef)), so that every claim names its worker.
    pub holder: &'a str,
    /// Number of suspects ([`History::is_suspect`]) that the caller may take now: 0 while it runs one.
    pub suspects: u32,
    /// Published to the other workers of the queue. Unset where there are none.
    pub announcement: Option<Announcement<'a>>,
}

#[derive(Debug)]
pub struct Claim {
    /// Redis' time of the claim, Unix ms.
    pub now: i64,
    /// The earliest due time left among the requested kinds. Unset if nothing waits or the queue is paused.
    pub next_due: Option<i64>,
    pub jobs: Vec<Claimed>,
    /// Ids without a record. They were removed from their set; the caller reports them.
    pub without_record: u64,
    /// Members that are not an id, left out. Sweepers remove them when their lease has run out.
    pub without_id: u64,
    /// Workers that received the announcement, the caller included. Unset if it was not made.
    pub listeners: Option<u32>,
}

#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    /// Unix ms.
    pub due: i64,
    /// The record as stored; [`Record::decode`](crate::Record::decode) reads it.
    pub record: Bytes,
    pub history: History,
}

/// Claims up to `limit` due jobs of one queue in one call under one new token. Fewer jobs come back if they are too
/// large for one answer; then [`Claim::next_due`] is in the past.
pub(crate) async fn claim(core: &Core, options: &ClaimOptions<'_>) -> Result<Claim, Error> {
    let keys = core.keys().queue(options.queue);
    let mut script_keys: Vec<Key> = vec![
        keys.jobs().into(),
        keys.active().into(),
        keys.state().into(),
        keys.fence().into(),
        keys.paused().into(),
    ];
    for kind in options.kinds {
        script_keys.extend(wire::sets(&keys, kind, [Set::Due, Set::Lease]));
    }
    let bytes = core.incoming().bytes();
    let expected = core.record_sizes().filling(bytes, options.queue, options.kinds);
    let mut args: Vec<Value> = vec![
        wire::count(options.limit.min(MAX_BATCH)),
        wire::millis(options.lease),
        options.holder.into(),
        i64::from(options.suspects).into(),
        wire::millis(crashes::PUT_OFF),
        i64::from(crashes::SUSPECT_FROM).into(),
        wire::count(bytes),
        wire::count(expected),
    ];
    if let Some(announcement) = &options.announcement {
        args.push(keys.wake_channel().into());
        args.extend(announcement.to_args());
    }
    let sent = Instant::now();
    let reply = core.call(&CLAIM, script_keys, args).await;
    let head = reply.as_ref().ok().and_then(Head::decode);
    let carried = head.as_ref().map_or(0, |head| head.bytes);
    core.incoming().observe(carried, sent.elapsed(), core.connection().command_timeout(), &reply);
    let reply = reply?;
    let claim = head.and_then(|head| decode(&reply, &head, options)).ok_or_else(|| reply.corrupt())?;
    for job in &claim.jobs {
        core.record_sizes().observe(options.queue, job.lease.kind(), job.record.len());
    }
    Ok(claim)
}

/// The values of the reply in front of the jobs.
struct Head {
    next_due: Option<i64>,
    /// Unset where the queue is paused.
    token: Option<FencingToken>,
    without_record: u64,
    bytes: usize,
    listeners: Option<u32>,
}

impl Head {
    /// The number of values.
    const LEN: usize = 5;

    fn decode(reply: &Reply) -> Option<Self> {
        let [next_due, token, without_record, bytes, listeners, ..] = reply.values() else { return None };
        Some(Head {
            next_due: wire::instant(next_due),
            token: FencingToken::parse(&token.as_str()?),
            without_record: without_record.as_u64()?,
            bytes: bytes.as_usize()?,
            listeners: listeners.as_u64().map(|workers| workers as u32),
        })
    }
}

fn decode(reply: &Reply, head: &Head, options: &ClaimOptions<'_>) -> Option<Claim> {
    let mut claim = Claim {
        now: reply.now,
        next_due: head.next_due,
        jobs: Vec::with_capacity(options.limit.min(MAX_BATCH)),
        without_record: head.without_record,
        without_id: 0,
        listeners: head.listeners,
    };
    for [kind, found, records, states] in reply.rows(Head::LEN) {
        let kind = wire::kind_at(options.kinds, kind)?;
        let (Value::Array(found), Value::Array(records), Value::Array(states)) = (found, records, states)
        else {
            return None;
        };
        for (([id, due], record), state) in found.as_chunks().0.iter().zip(records).zip(states) {
            if record.is_null() {
                continue; // removed or put off
            }
            let Some(id) = id.as_str().and_then(|id| id.parse().ok()) else {
                claim.without_id += 1;
                continue;
            };
            let history = wire::history(id, state);
            let lease = LeaseRef { queue: options.queue.clone(), kind: kind.clone(), id, token: head.token? };
            claim.jobs.push(Claimed {
                lease: Lease(lease),
                due: due.as_f64()? as i64,
                record: record.clone().into_bytes()?,
                history,
            });
        }
    }
    Some(claim)
}
