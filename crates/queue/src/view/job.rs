//! Jobs as the API and the command line show them.

use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::HashesInterface;
use fred::types::{Key, Value};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::{FailureCause, History};
use crate::model::holder::Holder;
use crate::model::id::JobId;
use crate::model::instant;
use crate::model::record::{Durability, Record};
use crate::model::run::{Run, WorkerRef};
use crate::model::state::State;
use crate::scripts::INSPECT;
use crate::wire::{self, Reply};

/// A job at one instant.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    /// Unset if the job has finished and is no longer kept.
    pub state: Option<State>,
    pub payload: Box<RawValue>,
    /// The last or running attempt; 0 before the first.
    pub attempt: u32,
    /// Unset if the kind's own limit applies; a caller that knows the kind fills it in.
    pub max_retries: Option<u32>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub enqueued_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub due_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub finished_at: Option<Timestamp>,
    pub last_error: Option<String>,
    /// The last unsuccessful runs, oldest first.
    pub attempts: Vec<AttemptView>,
    /// The worker that runs the job or ran it last.
    pub worker: Option<Arc<WorkerRef>>,
    /// True if the job is active and a cancellation was requested.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    pub durability: Option<Durability>,
    pub enqueued_by: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    pub attempt: u32,
    pub cause: FailureCause,
    pub error: String,
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub finished_at: Option<Timestamp>,
    pub worker: Arc<WorkerRef>,
    /// True if the job was redriven after this attempt: later attempts are counted from 1 again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
}

impl JobView {
    pub fn is_finished(&self) -> bool {
        !matches!(self.state, Some(State::Scheduled | State::Ready | State::Active))
    }
}

/// Looks for a job in these queues.
pub(crate) async fn job(core: &Core, queues: &[Arc<str>], id: JobId) -> Result<Option<JobView>, Error> {
    let redis = core.connection().reader()?;
    let short = id.short();
    let pipeline = redis.pipeline();
    for queue in queues {
        let _: () = pipeline.hget(core.keys().queue(queue).jobs(), &short).await?;
    }
    let records: Vec<Option<Bytes>> = if queues.is_empty() { Vec::new() } else { pipeline.all().await? };
    for (queue, record) in queues.iter().zip(records) {
        if let Some(record) = record {
            return inspect(core, queue, id, &record).await;
        }
    }
    Ok(None)
}

async fn inspect(core: &Core, queue: &str, id: JobId, record: &[u8]) -> Result<Option<JobView>, Error> {
    let kind = Record::decode(record)?.kind;
    let keys = core.keys().queue(queue);
    let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.active().into(), keys.state().into()];
    script_keys.extend(wire::sets(&keys, &kind, Set::ALL));
    let reply = core.call(&INSPECT, script_keys, vec![id.short().into()]).await?;
    decode(queue, id, &reply)
}

/// record, entry of active, state, then the score in each set
fn decode(queue: &str, id: JobId, reply: &Reply) -> Result<Option<JobView>, Error> {
    let corrupt = || Error::corrupt(format!("the reply of inspect for job {id}"));
    let [record, active, state, scores @ ..] = reply.values() else { return Err(corrupt()) };
    let record = record.as_bytes().ok_or_else(corrupt)?;
    if record.is_empty() {
        return Ok(None); // removed since it was found
    }
    let record = Record::decode(record)?;
    let (settled, history) = History::decode(&state.as_str().ok_or_else(corrupt)?)?;
    let score_in = |set: Set| {
        let place = Set::ALL.iter().position(|known| *known == set)?;
        scores.get(place).and_then(Value::as_f64).map(|score| score as i64)
    };
    let is_active = score_in(Set::Lease).is_some();
    let holder = Holder::decode(&active.as_str().unwrap_or_default()).map(|(_, holder)| holder);
    let cancel_requested = is_active && holder.as_ref().is_some_and(|holder| holder.cancel_requested);
    let running = holder.map(|holder| holder.into_run(&history));

    let (state, due, run) = if let Some(due) = score_in(Set::Due) {
        let state = if due <= reply.now { State::Ready } else { State::Scheduled };
        (Some(state), Some(due), None)
    } else if is_active {
        (Some(State::Active), running.as_ref().map(|run| run.due), running)
    } else {
        let finished =
            [(Set::Done, State::Completed), (Set::Cancelled, State::Cancelled), (Set::Dead, State::Dead)];
        let state = finished.into_iter().find(|(set, _)| score_in(*set).is_some()).map(|(_, state)| state);
        let run = history.last_run.clone();
        (state, run.as_ref().map(|run| run.due), run)
    };
    let is_finished = matches!(state, Some(State::Completed | State::Cancelled | State::Dead));
    let last_failed = history.failures.last();
    let failed_run = last_failed.map(|failure| &failure.run).filter(|_| !history.started_over);
    let last_run: Option<&Run> = run.as_ref().or(failed_run);
    Ok(Some(JobView {
        id,
        kind: record.kind.into_owned(),
        queue: queue.to_owned(),
        state,
        payload: record.payload.to_owned(),
        attempt: last_run.map_or(0, |run| run.attempt),
        max_retries: record.max_retries,
        enqueued_at: id.made_at().and_then(timestamp),
        due_at: due.and_then(timestamp),
        started_at: last_run.and_then(|run| timestamp(run.started)),
        finished_at: if is_finished { settled.and_then(timestamp) } else { None },
        last_error: last_failed.map(|failure| failure.error.clone()),
        worker: last_run.map(|run| run.worker.clone()),
        cancel_requested,
        attempts: history
            .failures
            .into_iter()
            .map(|failure| AttemptView {
                attempt: failure.run.attempt,
                cause: failure.cause,
                error: failure.error,
                started_at: timestamp(failure.run.started),
                finished_at: timestamp(failure.finished),
                worker: failure.run.worker,
                redriven: failure.redriven,
            })
            .collect(),
        durability: record.durability,
        enqueued_by: None,
    }))
}

fn timestamp(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}
