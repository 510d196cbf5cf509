//! What somebody may ask of a job or a queue from outside: cancel, run now, reschedule, redrive,
//! delete; pause, resume, redrive many, purge.

use fred::types::{Key, Value};
use serde::Serialize;

use crate::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::JobId;
use crate::scripts::{CANCEL, DELETE, PAUSE, PURGE, REDRIVE, REDRIVE_QUEUE, RESCHEDULE, RESUME, Script};
use crate::transitions::enqueue::Due;
use crate::transitions::settle::millis;
use crate::transitions::trim::CANCELLED_RETENTION;
use crate::view::job::State;

/// On one job. Each may be repeated when its answer was lost: cancel, run now and reschedule then
/// say the same again, redrive and delete are refused and have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Waiting → cancelled. An active job is asked to end, see [`Operated::Requested`].
    Cancel,
    /// Waiting → due now.
    RunNow,
    /// Waiting → due then.
    Reschedule(Due),
    /// Dead → due now, with all its attempts again.
    Redrive,
    /// Anything but active → gone.
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operated {
    Done,
    /// The job is active. Its worker hears of the cancellation with its next heartbeat, at once where
    /// it listens; the job ends as cancelled, unless it completes or is buried before.
    Requested,
    /// Not in this state; nothing was changed.
    Refused(State),
    /// No such job.
    Gone,
}

/// A step of something that is done in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Jobs that this call moved or removed, [`MAX_BATCH`] at most.
    pub moved: u64,
    /// Jobs that it would have, too.
    pub remaining: u64,
}

impl Client {
    pub async fn operate(
        &self,
        queue: &str,
        kind: &str,
        id: JobId,
        operation: Operation,
    ) -> Result<Operated, Error> {
        let keys = self.keys().queue(queue);
        let mut script_keys: Vec<Key> =
            vec![keys.jobs().into(), keys.active().into(), keys.state().into(), keys.stats().into()];
        script_keys.extend(Set::ALL.map(|set| Key::from(keys.set(kind, set))));
        let (script, args): (&Script, Vec<Value>) = match operation {
            Operation::Cancel => (
                &CANCEL,
                vec![
                    millis(CANCELLED_RETENTION),
                    keys.finished_channel().into(),
                    keys.cancel_channel().into(),
                ],
            ),
            Operation::RunNow => (&RESCHEDULE, vec![0.into(), "1".into(), keys.wake_channel().into()]),
            Operation::Reschedule(due) => {
                (&RESCHEDULE, vec![due.to_arg(), "0".into(), keys.wake_channel().into()])
            }
            Operation::Redrive => (&REDRIVE, vec![keys.wake_channel().into()]),
            Operation::Delete => (&DELETE, vec![keys.finished_channel().into()]),
        };
        let mut all_args: Vec<Value> = vec![id.short().into()];
        all_args.extend(args);
        let reply = self.call(script, script_keys, all_args).await?;
        decode(&reply, operation).ok_or_else(|| Error::corrupt(format!("the reply of {}", script.name)))
    }

    /// The queue gives out no more jobs until it is resumed. What is active goes on.
    pub async fn pause(&self, queue: &str) -> Result<(), Error> {
        // So that a pause is seen in a queue that never had a job. A full Redis takes a pause, and no names.
        match self.announce(queue).await {
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        self.call(&PAUSE, vec![self.keys().queue(queue).paused().into()], Vec::new()).await.map(drop)
    }

    pub async fn resume(&self, queue: &str) -> Result<(), Error> {
        let keys = self.keys().queue(queue);
        self.call(&RESUME, vec![keys.paused().into()], vec![keys.wake_channel().into()]).await.map(drop)
    }

    /// Redrives the jobs of a queue that died first, of one kind or of all, at most `limit` (≤
    /// [`MAX_BATCH`]).
    pub async fn redrive_queue(&self, queue: &str, kind: Option<&str>, limit: usize) -> Result<Moved, Error> {
        let keys = self.keys().queue(queue);
        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
        for kind in
            self.kinds_of(queue).await?.iter().filter(|known| kind.is_none_or(|kind| kind == &***known))
        {
            script_keys.extend([Set::Dead, Set::Due].map(|set| Key::from(keys.set(kind, set))));
        }
        let args: Vec<Value> = vec![(limit.min(MAX_BATCH) as i64).into(), keys.wake_channel().into()];
        decode_moved(&self.call(&REDRIVE_QUEUE, script_keys, args).await?)
    }

    /// Removes jobs of a queue in one state, of one kind or of all, at most `limit` (≤
    /// [`MAX_BATCH`]). Of active ones none is.
    pub async fn purge(
        &self,
        queue: &str,
        state: State,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Moved, Error> {
        let (set, part) = match state {
            State::Scheduled => (Set::Due, "scheduled"),
            State::Ready => (Set::Due, "ready"),
            State::Completed => (Set::Done, ""),
            State::Cancelled => (Set::Cancelled, ""),
            State::Dead => (Set::Dead, ""),
            State::Active => return Ok(Moved { moved: 0, remaining: 0 }),
        };
        let keys = self.keys().queue(queue);
        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
        for kind in
            self.kinds_of(queue).await?.iter().filter(|known| kind.is_none_or(|kind| kind == &***known))
        {
            script_keys.push(keys.set(kind, set).into());
        }
        let limit = limit.min(MAX_BATCH) as i64;
        let args: Vec<Value> = vec![limit.into(), keys.finished_channel().into(), part.into()];
        decode_moved(&self.call(&PURGE, script_keys, args).await?)
    }
}

/// now, done, place, score
fn decode(reply: &[Value], operation: Operation) -> Option<Operated> {
    let [now, done, place, score] = reply else { return None };
    let state = match place.as_i64()? {
        0 => return Some(Operated::Gone),
        5 if score.as_f64()? <= now.as_f64()? => State::Ready,
        5 => State::Scheduled,
        6 => State::Active,
        7 => State::Completed,
        8 => State::Cancelled,
        9 => State::Dead,
        _ => return None,
    };
    Some(match done.as_i64()? {
        1 if operation == Operation::Cancel && state == State::Active => Operated::Requested,
        1 => Operated::Done,
        _ => Operated::Refused(state),
    })
}

/// now, moved, left
fn decode_moved(reply: &[Value]) -> Result<Moved, Error> {
    let number = |n: usize| reply.get(n).and_then(Value::as_u64).ok_or_else(|| Error::corrupt("a reply"));
    Ok(Moved { moved: number(1)?, remaining: number(2)? })
}
