//! Claiming due jobs for a limited time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::types::Value;

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

pub(crate) async fn claim(core: &Core, options: &ClaimOptions<'_>) -> Result<Claim, Error> {
    let keys = core.keys.queue(options.queue);
    let first = [keys.jobs(), keys.active(), keys.state(), keys.fence(), keys.paused()];
    let script_keys = wire::keys(&keys, first, options.kinds, &[Set::Due, Set::Lease]);
    let bytes = core.incoming.bytes();
    let expected = core.record_sizes.filling(bytes, options.queue, options.kinds);
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
    let took = sent.elapsed();
    let decoded = reply.as_ref().ok().and_then(|reply| decode(reply, options));
    let carried = decoded.as_ref().map_or(0, |(bytes, _)| *bytes);
    core.incoming.observe(carried, took, core.connection.command_timeout(), &reply);
    let reply = reply?;
    let (_, claim) = decoded.ok_or_else(|| reply.corrupt())?;
    for job in &claim.jobs {
        core.record_sizes.observe(options.queue, job.lease.kind(), job.record.len());
    }
    Ok(claim)
}

/// The bytes of all records and states, and the claim.
fn decode(reply: &Reply, options: &ClaimOptions<'_>) -> Option<(usize, Claim)> {
    let [next_due, token, without_record, bytes, listeners, ..] = reply.values() else { return None };
    // Unset where the queue is paused.
    let token = FencingToken::parse(&token.as_str()?);
    let mut claim = Claim {
        now: reply.now,
        next_due: wire::instant(next_due),
        jobs: Vec::with_capacity(options.limit.min(MAX_BATCH)),
        without_record: without_record.as_u64()?,
        without_id: 0,
        listeners: listeners.as_u64().map(|workers| workers as u32),
    };
    for [kind, found, records, states] in reply.rows(5) {
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
            let lease = LeaseRef { queue: options.queue.clone(), kind: kind.clone(), id, token: token? };
            claim.jobs.push(Claimed {
                lease: Lease(lease),
                due: due.as_f64()? as i64,
                record: record.clone().into_bytes()?,
                history,
            });
        }
    }
    Some((bytes.as_usize()?, claim))
}
