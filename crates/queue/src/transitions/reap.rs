//! Recovering jobs whose lease ran out.

use std::sync::Arc;
use std::time::Duration;

use fred::types::{Key, Value};

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::lease::{ExpiredLease, FencingToken, LeaseRef};
use crate::model::record::{History, Run, WorkerRef};
use crate::scripts::{EXPIRED, REAP};
use crate::transitions::put_back::Unreadable;
use crate::transitions::settle::{
    KindPlaces, LEASE_WEIGHT, Verdict, back_or_cancelled, decode_verdicts, millis, push_leases,
};

/// Jobs looked at of a kind in one call.
const LOOKED_AT: i64 = 500;

/// Stands in state where a settlement has its token: the lease that ran out settled nothing, and its
/// holder has to be told so.
pub(crate) const REAPED: FencingToken = FencingToken::new(0);

/// An active job whose lease ran out, as it stood when it was looked at.
#[derive(Debug, Clone)]
pub struct Expired {
    pub lease: ExpiredLease,
    pub history: History,
    /// The run that it was claimed for.
    pub run: Run,
    /// Redis' time, Unix ms.
    pub now: i64,
}

/// Leases that had run out.
#[derive(Debug, Default)]
pub struct ExpiredLeases {
    /// For [`Client::reap`].
    pub jobs: Vec<Expired>,
    /// For [`Client::put_back`].
    pub unreadable: Vec<Unreadable>,
}

/// Where an expired job goes.
#[derive(Debug)]
pub struct Reaped {
    pub lease: ExpiredLease,
    pub history: History,
    /// Due again after this; none: dead.
    pub due_after: Option<Duration>,
}

impl Client {
    /// Jobs of a queue whose lease ran out, of all kinds, known here or not.
    pub async fn expired(&self, queue: &Arc<str>, lease: Duration) -> Result<ExpiredLeases, Error> {
        let keys = self.keys().queue(queue);
        let kinds = self.kinds_of(queue).await?;
        let mut script_keys: Vec<Key> = vec![keys.active().into(), keys.state().into()];
        script_keys.extend(kinds.iter().map(|kind| Key::from(keys.set(kind, Set::Lease))));
        let args = vec![LOOKED_AT.into(), millis(lease), (self.incoming().bytes() as i64).into()];
        let reply = self.call(&EXPIRED, script_keys, args).await?;
        let now = reply[0].as_i64().unwrap_or_default();
        let mut expired = ExpiredLeases::default();
        for job in reply[1..].chunks_exact(4) {
            let place = job[0].as_u64().and_then(|place| usize::try_from(place).ok()?.checked_sub(1));
            let kind = place.and_then(|place| kinds.get(place));
            let kind = kind.ok_or_else(|| Error::corrupt("the reply of expired"))?;
            if let Some(job) = decode(job, kind, queue, now) {
                expired.jobs.push(job);
            } else {
                expired.unreadable.extend(Unreadable::decode(job, kind, now));
            }
        }
        Ok(expired)
    }

    /// Recovers expired jobs, unless their holder extended or settled in the meantime.
    pub async fn reap(&self, queue: &str, jobs: &[Reaped]) -> Result<Vec<Verdict>, Error> {
        let keys = self.keys().queue(queue);
        let mut verdicts = Vec::with_capacity(jobs.len());
        let states: Vec<String> = jobs.iter().map(|job| job.history.encode(REAPED)).collect();
        let (mut jobs, mut states) = (jobs, &*states);
        while !jobs.is_empty() {
            let weights = states.iter().map(|state| state.len() + LEASE_WEIGHT);
            let fitting = self.outgoing().fitting(weights.clone());
            let carried = weights.take(fitting).sum();
            let (chunk, of_chunk) = (&jobs[..fitting], &states[..fitting]);
            (jobs, states) = (&jobs[fitting..], &states[fitting..]);
            let mut kinds = KindPlaces::default();
            let mut args = back_or_cancelled(&keys);
            push_leases(&mut args, chunk.iter().map(|job| &job.lease.0));
            args.extend(chunk.iter().map(|job| kinds.place(job.lease.kind())));
            args.extend(chunk.iter().map(|job| job.due_after.map_or(Value::Integer(-1), millis)));
            args.extend(of_chunk.iter().map(Value::from));
            let mut script_keys =
                vec![keys.jobs().into(), keys.active().into(), keys.state().into(), keys.stats().into()];
            script_keys.extend(kinds.keys(&keys, &[Set::Lease, Set::Due, Set::Dead, Set::Cancelled]));
            let reply = self.call_with(carried, &REAP, script_keys, args).await?;
            verdicts.extend(decode_verdicts(&REAP, &reply, chunk.len())?);
        }
        Ok(verdicts)
    }
}

/// kind, id, entry of active (`token due start lease holder`), entry of state
fn decode(job: &[Value], kind: &Arc<str>, queue: &Arc<str>, now: i64) -> Option<Expired> {
    let id = job[1].as_str()?.parse().ok()?;
    let entry = job[2].as_str()?;
    let (token, started) = Started::decode(&entry)?;
    let history = History::decode_or_start_anew(id, &job[3]);
    let lease = ExpiredLease(LeaseRef { queue: queue.clone(), kind: kind.clone(), id, token });
    let run = started.into_run(&history);
    Some(Expired { lease, history, run, now })
}

/// An entry of active, behind the token. Only the token is needed: whatever else cannot be read is as if it
/// were unknown, so that entries of another version are no corruption.
pub(crate) struct Started {
    /// Somebody asked to cancel the job.
    pub(crate) unwanted: bool,
    due: i64,
    start: i64,
    worker: Arc<WorkerRef>,
}

impl Started {
    pub(crate) fn decode(entry: &str) -> Option<(FencingToken, Self)> {
        let mut parts = entry.splitn(5, ' ');
        let marked = parts.next()?;
        let token = marked.trim_end_matches('!');
        let unwanted = token.len() < marked.len();
        let token = FencingToken::parse(token)?;
        let due = parts.next().and_then(|due| due.parse::<f64>().ok()).unwrap_or_default() as i64;
        let start = parts.next().and_then(|start| start.parse().ok()).unwrap_or_default();
        let worker = parts.nth(1).and_then(|worker| serde_json::from_str(worker).ok()).unwrap_or_default();
        Some((token, Started { unwanted, due, start, worker }))
    }

    pub(crate) fn into_run(self, history: &History) -> Run {
        Run { attempt: history.next_attempt(), due: self.due, started: self.start, worker: self.worker }
    }
}
