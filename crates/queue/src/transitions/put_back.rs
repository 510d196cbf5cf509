//! Leases whose entry of `active` cannot be read: edited by hand, lost, or of a version that is too
//! different. Nobody can settle such a job, so it goes back as soon as its lease has run out.

use std::ops::AddAssign;
use std::sync::Arc;

use bytes::Bytes;
use fred::types::{Key, Value};

use crate::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::JobId;
use crate::model::record::{Failure, FailureCause, History, Run, WorkerRef};
use crate::scripts::PUT_BACK;
use crate::transitions::reap::REAPED;
use crate::transitions::settle::KindPlaces;

/// A member of a lease set whose lease has run out and that says nothing of its holder.
#[derive(Debug)]
pub struct Unreadable {
    kind: Arc<str>,
    /// As it stands in the set; it need not be an id.
    member: Bytes,
    /// As it stands in `active`; empty where it is missing.
    entry: Bytes,
    /// None: the member is no id.
    history: Option<History>,
    /// Redis' time, Unix ms.
    now: i64,
}

/// The outcome, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Jobs that are due again.
    pub recovered: u64,
    /// Members that are no id, or have no record.
    pub removed: u64,
}

impl Unreadable {
    /// Of the columns of `expired`; none where even the id is missing.
    pub(crate) fn decode(job: &[Value], kind: &Arc<str>, now: i64) -> Option<Self> {
        let [_, member, entry, state] = job else { return None };
        let member = member.clone().into_bytes()?;
        let id: Option<JobId> = std::str::from_utf8(&member).ok().and_then(|id| id.parse().ok());
        let history = id.map(|id| History::decode_or_start_anew(id, state));
        Some(Unreadable { kind: kind.clone(), member, entry: entry.clone().into_bytes()?, history, now })
    }

    /// What is kept of the run that nobody can settle. Nothing for what is no id.
    fn state(&self) -> String {
        let Some(history) = self.history.clone() else { return String::new() };
        let error = if self.entry.is_empty() {
            "nothing says who held its lease"
        } else {
            "who held its lease cannot be read"
        };
        let run = Run {
            attempt: history.next_attempt(),
            due: self.now,
            started: self.now,
            worker: Arc::new(WorkerRef::default()),
        };
        history.with_failure(Failure::new(FailureCause::LeaseLost, error, run, self.now)).encode(REAPED)
    }
}

impl Client {
    /// Makes jobs due again whose holder cannot be read, and removes what is no job.
    pub async fn put_back(&self, queue: &str, found: &[Unreadable]) -> Result<PutBack, Error> {
        let keys = self.keys().queue(queue);
        let mut put_back = PutBack::default();
        for chunk in found.chunks(MAX_BATCH) {
            let mut kinds = KindPlaces::default();
            let mut args = vec![keys.wake_channel().into(), (chunk.len() as i64).into()];
            args.extend(chunk.iter().map(|job| Value::Bytes(job.member.clone())));
            args.extend(chunk.iter().map(|job| kinds.place(&job.kind)));
            args.extend(chunk.iter().map(|job| Value::Bytes(job.entry.clone())));
            args.extend(chunk.iter().map(|job| Value::from(job.state())));
            let mut script_keys: Vec<Key> =
                vec![keys.jobs().into(), keys.active().into(), keys.state().into(), keys.stats().into()];
            script_keys.extend(kinds.keys(&keys, &[Set::Lease, Set::Due]));
            let reply = self.call(&PUT_BACK, script_keys, args).await?;
            let number = |n: usize| reply.get(n).and_then(Value::as_u64);
            let (Some(recovered), Some(removed)) = (number(1), number(2)) else {
                return Err(Error::corrupt(format!("the reply of put_back: {reply:?}")));
            };
            put_back += PutBack { recovered, removed };
        }
        Ok(put_back)
    }
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
