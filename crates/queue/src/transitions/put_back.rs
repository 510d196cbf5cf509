//! Leases whose entry of `active` cannot be read: edited by hand, lost, or written by a version that is too
//! different. Nobody can settle such a job, so it goes back as soon as its lease has run out.

use std::ops::AddAssign;
use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::{Failure, FailureCause, History};
use crate::model::id::JobId;
use crate::model::lease::FencingToken;
use crate::model::run::{Run, WorkerRef};
use crate::scripts::PUT_BACK;
use crate::wire;

/// A member of a lease set whose lease has run out and whose holder is unknown.
#[derive(Debug)]
pub struct Unreadable {
    kind: Arc<str>,
    /// The member of the set; it need not be an id.
    member: Bytes,
    /// The entry of `active`; empty if there is none.
    entry: Bytes,
    /// The history with the lost run, as stored; empty if the member is not an id.
    state: String,
}

/// The outcome, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Jobs that are due again.
    pub recovered: u64,
    /// Members that are not an id, or have no record.
    pub removed: u64,
}

impl Client {
    /// Makes jobs with an unreadable holder due again, and removes members that are not a job.
    pub async fn put_back(&self, queue: &str, found: &[Unreadable]) -> Result<PutBack, Error> {
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let mut put_back = PutBack::default();
        for chunk in found.chunks(MAX_BATCH) {
            let (kinds, places) = wire::numbered(chunk.iter().map(|job| &job.kind));
            let mut args = vec![keys.wake_channel().into(), wire::count(chunk.len())];
            args.extend(chunk.iter().map(|job| Value::Bytes(job.member.clone())));
            args.extend(places);
            args.extend(chunk.iter().map(|job| Value::Bytes(job.entry.clone())));
            args.extend(chunk.iter().map(|job| Value::from(&job.state)));
            let script_keys = wire::keys(&keys, wire::job_keys(&keys), kinds, &[Set::Lease, Set::Due]);
            let reply = core.call(&PUT_BACK, script_keys, args).await?;
            put_back += PutBack { recovered: reply.number(0)?, removed: reply.number(1)? };
        }
        Ok(put_back)
    }
}

impl Unreadable {
    /// Returns nothing where even the member is missing.
    pub(crate) fn decode(
        kind: &Arc<str>,
        member: &Value,
        entry: &Value,
        state: &Value,
        now: i64,
    ) -> Option<Self> {
        let (member, entry) = (member.clone().into_bytes()?, entry.clone().into_bytes()?);
        let id: Option<JobId> = std::str::from_utf8(&member).ok().and_then(|id| id.parse().ok());
        let state = id.map_or(String::new(), |id| with_lost_run(wire::history(id, state), &entry, now));
        Some(Unreadable { kind: kind.clone(), member, entry, state })
    }
}

fn with_lost_run(history: History, entry: &[u8], now: i64) -> String {
    let error = if entry.is_empty() {
        "nothing says who held its lease"
    } else {
        "who held its lease cannot be read"
    };
    let worker = Arc::new(WorkerRef::default());
    let run = Run { attempt: history.next_attempt(), due: now, started: now, worker };
    let failure = Failure::new(FailureCause::LeaseLost, error, run, now);
    history.with_failure(failure).encode(FencingToken::REAPED)
}

impl PutBack {
    pub fn is_none(self) -> bool {
        self == PutBack::default()
    }
}

impl AddAssign for PutBack {
    fn add_assign(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.removed += other.removed;
    }
}
