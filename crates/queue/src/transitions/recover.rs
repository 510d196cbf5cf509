//! Recovering jobs whose lease ran out. `expired` finds them. Those that name their holder are reaped. The others are
//! put back: their entry of `active` was edited by hand, lost, or written by a version that is too different, and
//! nobody can settle such a job.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::types::{Key, Value};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::death::Death;
use crate::model::history::{Failure, FailureCause, History};
use crate::model::holder::Holder;
use crate::model::id::JobId;
use crate::model::lease::{ExpiredLease, FencingToken, LeaseRef};
use crate::model::run::{Run, WorkerRef};
use crate::model::settlement::{LEASE_WEIGHT, Verdict};
use crate::model::state::State;
use crate::scripts::{EXPIRED, PUT_BACK, REAP};
use crate::wire;

/// Jobs examined per kind in one call.
const EXAMINED: i64 = 500;

/// An active job whose lease ran out.
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
    /// For [`Client::reap`](crate::Client::reap).
    pub jobs: Vec<Expired>,
    /// For [`Client::put_back`](crate::Client::put_back).
    pub unreadable: Vec<Unreadable>,
}

/// An expired job and its next state.
#[derive(Debug)]
pub struct Reaped {
    pub lease: ExpiredLease,
    pub history: History,
    /// The delay of the next run; unset to bury the job.
    pub due_after: Option<Duration>,
}

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

pub(crate) async fn expired(core: &Core, queue: &Arc<str>, lease: Duration) -> Result<ExpiredLeases, Error> {
    let keys = core.keys.queue(queue);
    let kinds = core.kinds_of(queue).await?;
    let script_keys = wire::keys(&keys, [keys.active(), keys.state()], &kinds, &[Set::Lease]);
    let args = vec![EXAMINED.into(), wire::millis(lease), wire::count(core.incoming.bytes())];
    let reply = core.call(&EXPIRED, script_keys, args).await?;
    let mut expired = ExpiredLeases::default();
    for [place, member, entry, state] in reply.rows(0) {
        let kind = wire::kind_at(&kinds, place).ok_or_else(|| reply.corrupt())?;
        match decode(queue, kind, [member, entry, state], reply.now) {
            Some(Ok(job)) => expired.jobs.push(job),
            Some(Err(unreadable)) => expired.unreadable.push(unreadable),
            // It does not keep the other jobs from being recovered. `atode audit` reports it.
            None => {}
        }
    }
    Ok(expired)
}

pub(crate) async fn reap(core: &Core, queue: &str, jobs: &[Reaped]) -> Result<Vec<Verdict>, Error> {
    let keys = core.keys.queue(queue);
    let jobs: Vec<Encoded<'_>> = jobs.iter().map(Encoded::of).collect();
    let weight =
        |job: &Encoded<'_>| job.state.len() + job.death.as_ref().map_or(0, Death::weight) + LEASE_WEIGHT;
    let mut verdicts = Vec::with_capacity(jobs.len());
    for call in core.outgoing.calls(&jobs, weight) {
        let (kinds, places) = wire::numbered(call.iter().map(|Encoded { job, .. }| job.lease.kind()));
        let mut args = wire::back_or_cancelled(&keys);
        wire::push_leases(&mut args, call.iter().map(|Encoded { job, .. }| &job.lease.0));
        args.extend(places);
        args.extend(call.iter().map(|Encoded { job, .. }| wire::millis_or(job.due_after, wire::BURY)));
        args.extend(call.iter().map(|Encoded { state, .. }| Value::from(state)));
        wire::push_causes(&mut args, call.iter().map(|job| job.death.as_ref()));
        let sets = [Set::Lease, Set::Due, Set::Dead, Set::Cancelled];
        let mut script_keys = wire::keys(&keys, wire::job_keys(&keys), &kinds, &sets);
        script_keys.extend(kinds.iter().map(|kind| Key::from(keys.failures(kind))));
        let carried = call.iter().map(weight).sum();
        let reply = core.call_with(&core.connection, carried, &REAP, script_keys, args).await?;
        let answers = reply.verdicts(call.len())?;
        for (Encoded { job, .. }, verdict) in call.iter().zip(&answers) {
            if matches!(verdict, Verdict::Done | Verdict::CancelRequested) {
                core.counters.reaped(queue, job.lease.kind());
            }
            let ended = match verdict {
                Verdict::Done if job.due_after.is_none() => State::Dead,
                Verdict::CancelRequested => State::Cancelled,
                _ => continue,
            };
            core.counters.finished(queue, job.lease.kind(), ended, 1);
        }
        verdicts.extend(answers);
    }
    Ok(verdicts)
}

pub(crate) async fn put_back(core: &Core, queue: &str, found: &[Unreadable]) -> Result<PutBack, Error> {
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

/// A job with its state as stored, and the cause of its death if it is buried.
struct Encoded<'a> {
    job: &'a Reaped,
    state: String,
    death: Option<Death>,
}

impl<'a> Encoded<'a> {
    fn of(job: &'a Reaped) -> Self {
        let death = if job.due_after.is_none() { Death::of(job.lease.kind(), &job.history) } else { None };
        let state = Death::encode(death.as_ref(), &job.history, FencingToken::REAPED);
        Encoded { job, state, death }
    }
}

fn decode(
    queue: &Arc<str>,
    kind: &Arc<str>,
    [member, entry, state]: [&Value; 3],
    now: i64,
) -> Option<Result<Expired, Unreadable>> {
    let (member, entry) = (member.clone().into_bytes()?, entry.clone().into_bytes()?);
    let id: Option<JobId> = std::str::from_utf8(&member).ok().and_then(|id| id.parse().ok());
    let history = id.map(|id| wire::history(id, state));
    let holder = std::str::from_utf8(&entry).ok().and_then(Holder::decode);
    Some(match (id, history, holder) {
        (Some(id), Some(history), Some((token, holder))) => {
            let lease = ExpiredLease(LeaseRef { queue: queue.clone(), kind: kind.clone(), id, token });
            let run = holder.into_run(&history);
            Ok(Expired { lease, history, run, now })
        }
        (_, history, _) => {
            let state = history.map_or(String::new(), |history| with_lost_run(history, &entry, now));
            Err(Unreadable { kind: kind.clone(), member, entry, state })
        }
    })
}

fn with_lost_run(history: History, entry: &[u8], now: i64) -> String {
    let error = if entry.is_empty() {
        "nothing says who held its lease"
    } else {
        "who held its lease cannot be read"
    };
    let worker = Arc::new(WorkerRef::default());
    let run = Run::new(history.next_attempt(), now, now, worker);
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
