//! Taking due jobs, for a limited time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::types::{Key, Value};

use crate::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::crashes;
use crate::model::lease::{FencingToken, Lease, LeaseRef};
use crate::model::record::History;
use crate::scripts::CLAIM;
use crate::transitions::settle::millis;
use crate::workers::wakeups::Announcement;

#[derive(Debug)]
pub struct ClaimOptions<'a> {
    pub queue: &'a Arc<str>,
    /// The kinds that the caller can run, in the order in which they are asked.
    pub kinds: &'a [Arc<str>],
    /// Jobs taken at most (≤ [`MAX_BATCH`]).
    pub limit: usize,
    pub lease: Duration,
    /// The worker as JSON ([`crate::WorkerRef`]): every claim is attributable.
    pub holder: &'a str,
    /// How many suspects ([`History::is_suspect`]) the caller may take now: 0 while it runs one.
    pub suspects: u32,
    /// For the other workers of the queue; none where there are no others.
    pub announcement: Option<Announcement<'a>>,
}

#[derive(Debug)]
pub struct Claim {
    /// Redis' time of the claim, Unix ms.
    pub now: i64,
    /// The earliest due time left among the kinds asked for; none where nothing waits or the queue
    /// is paused.
    pub next_due: Option<i64>,
    pub jobs: Vec<Claimed>,
    /// Ids that stood in a set without a record: removed, and to be reported.
    pub without_record: u64,
    /// Jobs left out because their ids are none. Sweepers remove these when their lease has run out.
    pub without_id: u64,
    /// Workers that heard the announcement, the caller among them; none where it was not made.
    pub listeners: Option<u32>,
}

#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    /// Unix ms.
    pub due: i64,
    /// The record as stored: [`crate::Record::decode`] reads it.
    pub record: Bytes,
    pub history: History,
}

impl Client {
    /// One call: up to `limit` due jobs of one queue under one new token, fewer where they are too
    /// large for one answer. Jobs may still be due then: [`Claim::next_due`] is past.
    pub async fn claim(&self, options: &ClaimOptions<'_>) -> Result<Claim, Error> {
        let keys = self.keys().queue(options.queue);
        let mut script_keys: Vec<Key> = vec![
            keys.jobs().into(),
            keys.active().into(),
            keys.state().into(),
            keys.fence().into(),
            keys.paused().into(),
        ];
        for kind in options.kinds {
            script_keys.push(keys.set(kind, Set::Due).into());
            script_keys.push(keys.set(kind, Set::Lease).into());
        }
        let bytes = self.incoming().bytes();
        let expected = self.record_sizes().filling(bytes, options.queue, options.kinds);
        let mut args: Vec<Value> = vec![
            (options.limit.min(MAX_BATCH) as i64).into(),
            millis(options.lease),
            options.holder.into(),
            i64::from(options.suspects).into(),
            millis(crashes::PUT_OFF),
            i64::from(crashes::SUSPECT_FROM).into(),
            (bytes as i64).into(),
            (expected as i64).into(),
        ];
        if let Some(announcement) = &options.announcement {
            args.extend(announcement.to_args(&keys));
        }
        let sent = Instant::now();
        let reply = self.call(&CLAIM, script_keys, args).await;
        let carried = reply.as_ref().ok().and_then(|reply| reply.get(4)?.as_u64()).unwrap_or_default();
        self.incoming().observe(
            carried as usize,
            sent.elapsed(),
            self.connection().command_timeout(),
            &reply,
        );
        let claim = decode(&reply?, options).ok_or_else(|| Error::corrupt("the reply of claim"))?;
        for job in &claim.jobs {
            self.record_sizes().observe(options.queue, job.lease.kind(), job.record.len());
        }
        Ok(claim)
    }
}

fn decode(reply: &[Value], options: &ClaimOptions<'_>) -> Option<Claim> {
    let [now, next_due, token, without_record, _bytes, listeners] = reply.get(..6)? else { return None };
    let token = FencingToken::parse(&token.as_str()?); // none where the queue is paused
    let mut claim = Claim {
        now: now.as_i64()?,
        next_due: next_due.as_i64().filter(|due| *due >= 0),
        jobs: Vec::with_capacity(options.limit.min(MAX_BATCH)),
        without_record: without_record.as_u64()?,
        without_id: 0,
        listeners: listeners.as_u64().map(|workers| workers as u32),
    };
    for of_kind in reply[6..].chunks_exact(4) {
        let kind = options.kinds.get(usize::try_from(of_kind[0].as_i64()? - 1).ok()?)?;
        let [Value::Array(found), Value::Array(records), Value::Array(states)] = &of_kind[1..] else {
            return None;
        };
        for ((id_and_due, record), state) in found.chunks_exact(2).zip(records).zip(states) {
            if record.is_null() {
                continue; // removed or put off
            }
            let Some(id) = id_and_due[0].as_str().and_then(|id| id.parse().ok()) else {
                claim.without_id += 1;
                continue;
            };
            let history = History::decode_or_start_anew(id, state);
            let name = LeaseRef { queue: options.queue.clone(), kind: kind.clone(), id, token: token? };
            claim.jobs.push(Claimed {
                lease: Lease(name),
                due: id_and_due[1].as_f64()? as i64,
                record: record.clone().into_bytes()?,
                history,
            });
        }
    }
    Some(claim)
}
