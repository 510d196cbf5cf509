//! Operations on one job on request: cancel, run now, reschedule, redrive, delete.

use std::time::Duration;

use fred::types::Value;

use crate::core::Core;
use crate::error::Error;
use crate::keys::{QueueKeys, Set};
use crate::model::id::JobId;
use crate::model::new_job::Due;
use crate::model::state::State;
use crate::retention::CANCELLED_RETENTION;
use crate::scripts::{CANCEL, DELETE, REDRIVE, RESCHEDULE, Script};
use crate::wire::{self, Reply};

/// The place in KEYS of the first set of the job's kind; they are in the order of [`Set::ALL`]. 0 is nowhere.
const FIRST_SET: usize = 5;

/// An operation on one job. Each may be repeated when its answer was lost: cancel, run now and reschedule give the
/// same answer again; redrive and delete are then refused, because they have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Waiting → cancelled. For an active job this is a request, see [`Operated::Requested`].
    Cancel,
    /// Waiting → due now.
    RunNow,
    /// Waiting → due at another time.
    Reschedule(Due),
    /// Dead → due now, with all its attempts again.
    Redrive,
    /// Any state but active → removed.
    Delete,
}

impl Operation {
    /// The states that allow it, for the error of a job in another state.
    pub fn rule(self) -> &'static str {
        match self {
            Operation::Cancel => "only a waiting or an active job can be cancelled",
            Operation::RunNow => "only a waiting job can be run now",
            Operation::Reschedule(_) => "only a waiting job can be rescheduled",
            Operation::Redrive => "only a dead job can be redriven",
            Operation::Delete => "an active job cannot be deleted; cancel it first",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operated {
    Done,
    /// The job is active. Its worker learns of the cancellation with its next heartbeat, or at once if it is
    /// subscribed. The job ends as cancelled, unless it is completed or buried first.
    Requested,
    /// Not possible in this state; nothing was changed.
    Refused(State),
    /// There is no such job.
    Gone,
}

pub(crate) async fn operate(
    core: &Core,
    queue: &str,
    kind: &str,
    id: JobId,
    operation: Operation,
) -> Result<Operated, Error> {
    carry_out(core, queue, kind, id, operation, None).await
}

/// [`operate`] only if the job is still at this place: active, or else with this score. A job that has moved since is
/// refused.
pub(crate) async fn operate_at(
    core: &Core,
    queue: &str,
    kind: &str,
    id: JobId,
    (set, score): (Set, f64),
    operation: Operation,
) -> Result<Operated, Error> {
    let at = if set == Set::Lease { "lease".to_owned() } else { score.to_string() };
    carry_out(core, queue, kind, id, operation, Some(at)).await
}

async fn carry_out(
    core: &Core,
    queue: &str,
    kind: &str,
    id: JobId,
    operation: Operation,
    at: Option<String>,
) -> Result<Operated, Error> {
    let keys = core.keys.queue(queue);
    let mut script_keys = wire::keys(&keys, wire::job_keys(&keys), [kind], &Set::ALL);
    if let Operation::Redrive | Operation::Delete = operation {
        script_keys.push(keys.failures(kind).into());
    }
    let (script, mut args) = call(operation, id, &keys);
    args.extend(at.map(Value::from));
    let reply = core.call(script, script_keys, args).await?;
    let (operated, before) = decode(&reply, operation).ok_or_else(|| reply.corrupt())?;
    if operation == Operation::Cancel && matches!(before, Some(State::Scheduled | State::Ready)) {
        core.counters.finished(queue, kind, State::Cancelled, 1);
    }
    Ok(operated)
}

fn call(operation: Operation, id: JobId, keys: &QueueKeys) -> (&'static Script, Vec<Value>) {
    let id = id.short().into();
    let reschedule =
        |due, only_earlier| vec![wire::due(due), wire::flag(only_earlier), keys.wake_channel().into()];
    let (script, args): (&'static Script, Vec<Value>) = match operation {
        Operation::Cancel => (
            &CANCEL,
            vec![
                wire::millis(CANCELLED_RETENTION),
                keys.finished_channel().into(),
                keys.cancel_channel().into(),
            ],
        ),
        Operation::RunNow => (&RESCHEDULE, reschedule(Due::After(Duration::ZERO), true)),
        Operation::Reschedule(due) => (&RESCHEDULE, reschedule(due, false)),
        Operation::Redrive => (&REDRIVE, vec![keys.wake_channel().into()]),
        Operation::Delete => (&DELETE, vec![keys.finished_channel().into()]),
    };
    (script, std::iter::once(id).chain(args).collect())
}

fn decode(reply: &Reply, operation: Operation) -> Option<(Operated, Option<State>)> {
    let (done, state) = place(reply)?;
    let operated = match (done, state) {
        (_, None) => Operated::Gone,
        (true, Some(State::Active)) if operation == Operation::Cancel => Operated::Requested,
        (true, Some(_)) => Operated::Done,
        (false, Some(state)) => Operated::Refused(state),
    };
    Some((operated, state))
}

/// done, place, score: whether the script changed the job, and the job's state before, if there is such a job.
pub(crate) fn place(reply: &Reply) -> Option<(bool, Option<State>)> {
    let [done, place, score] = reply.values() else { return None };
    let done = done.as_i64()? == 1;
    let Some(set) = place.as_usize()?.checked_sub(FIRST_SET) else { return Some((done, None)) };
    Some((done, Some(Set::ALL.get(set)?.state(score.as_f64()? as i64, reply.now))))
}
