//! Jobs as the API and the command line show them.

use std::sync::Arc;

use atode_config::traces::{Trace, TraceContext};
use fred::types::Value;
use fred::util::sha1_hash;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::{FailureCause, History};
use crate::model::holder::Holder;
use crate::model::id::JobId;
use crate::model::instant;
use crate::model::record::{Durability, Record};
use crate::model::record_kind::RecordKind;
use crate::model::run::{Run, WorkerRef};
use crate::model::state::State;
use crate::scripts::{JOB, KIND_OF};
use crate::transitions::operate::Operated;
use crate::wire::{self, Reply};

/// A job at one instant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    /// Unset if the job has finished and is no longer kept.
    pub state: Option<State>,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    pub durability: Option<Durability>,
    pub enqueued_by: Option<String>,
    /// The span that the job comes from, as W3C Trace Context writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Differs after each change of a waiting job. Unset for other jobs, and where the record was not read.
    #[serde(skip)]
    pub version: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
    /// The span of the attempt, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl JobView {
    pub fn is_finished(&self) -> bool {
        !matches!(self.state, Some(State::Scheduled | State::Ready | State::Active))
    }
}

pub(crate) async fn job(core: &Core, queues: &[Arc<str>], id: JobId) -> Result<Option<JobView>, Error> {
    let kinds = try_join_all(queues.iter().map(|queue| kinds_of(core, queue, id))).await?;
    let found = queues.iter().zip(kinds).find_map(|(queue, kinds)| Some((queue, kinds?)));
    let Some((queue, kinds)) = found else { return Ok(None) };
    let mut view = None;
    for kind in kinds {
        let Some((found, _)) = as_stored(core, queue, &kind, id).await? else { return Ok(None) };
        // Two kinds may share a tag. The job is in the sets of only one of them.
        if found.state.is_some() {
            return Ok(Some(found));
        }
        view = Some(found);
    }
    Ok(view)
}

/// The bytes that a job is stored in.
pub(crate) struct AsStored(Reply);

impl AsStored {
    pub(crate) fn record(&self) -> &[u8] {
        self.0.values().first().and_then(Value::as_bytes).unwrap_or_default()
    }

    pub(crate) fn history(&self) -> Result<History, Error> {
        let entry = self.0.values().get(2).and_then(Value::as_str);
        History::decode(&entry.unwrap_or_default()).map(|(_, history)| history)
    }
}

/// The job, and its bytes.
pub(crate) async fn as_stored(
    core: &Core,
    queue: &str,
    kind: &str,
    id: JobId,
) -> Result<Option<(JobView, AsStored)>, Error> {
    let reply = read(core, queue, kind, id, "record").await?;
    let Some(record) = record(&reply, id)? else { return Ok(None) };
    let mut view = decode(id, queue, kind, &Record::decode(record)?, &reply)?;
    view.version = version(&view, record);
    Ok(Some((view, AsStored(reply))))
}

pub(crate) async fn reread(core: &Core, job: &JobView) -> Result<Option<JobView>, Error> {
    let reply = read(core, &job.queue, &job.kind, job.id, "state").await?;
    if record(&reply, job.id)?.is_none() {
        return Ok(None);
    }
    let (max_retries, durability) = (job.max_retries, job.durability);
    let record = Record { max_retries, durability, ..Record::new(&job.payload) };
    let view = decode(job.id, &job.queue, &job.kind, &record, &reply)?;
    Ok(Some(JobView { traceparent: job.traceparent.clone(), ..view }))
}

/// `edit.lua` makes the version of a job like this too.
fn version(job: &JobView, record: &[u8]) -> Option<String> {
    let waits = matches!(job.state, Some(State::Scheduled | State::Ready));
    let due = job.due_at.filter(|_| waits)?.as_millisecond();
    let record = std::str::from_utf8(record).ok()?;
    Some(sha1_hash(&format!("{record} {due}")))
}

/// The job after an operation. The operation was carried out, so an error must not deny it. Meanwhile the job may have
/// run and been removed: then its state is unset.
pub(crate) async fn after(core: &Core, before: JobView, operated: Operated) -> Result<JobView, Error> {
    let after = reread(core, &before)
        .await
        .map_err(Error::behind_a_change)?
        .unwrap_or(JobView { state: None, ..before });
    Ok(JobView { cancel_requested: after.cancel_requested || operated == Operated::Requested, ..after })
}

/// The kinds that the job can be of: one, unless two kinds of the queue have the same tag. Nothing if there is no job.
async fn kinds_of(core: &Core, queue: &str, id: JobId) -> Result<Option<Vec<String>>, Error> {
    let keys = core.keys.queue(queue);
    let keys = vec![keys.jobs().into(), keys.kinds().into()];
    let reply = core.call(&KIND_OF, keys, vec![id.short().into()]).await?;
    let Some((record, kinds)) = reply.values().split_first() else { return Err(reply.corrupt()) };
    let record = record.as_bytes().ok_or_else(|| reply.corrupt())?;
    if record.is_empty() {
        return Ok(None);
    }
    let kind = RecordKind::decode(record)?;
    if let RecordKind::Name(name) = kind {
        return Ok(Some(vec![name.into_owned()]));
    }
    let [Value::Array(kinds)] = kinds else { return Err(reply.corrupt()) };
    let possible: Vec<String> =
        kinds.iter().filter_map(Value::as_string).filter(|name| kind.is(name)).collect();
    if possible.is_empty() {
        return Err(Error::corrupt(format!(
            "queue {queue} does not list the kind of job {id}; see `atode audit`"
        )));
    }
    Ok(Some(possible))
}

/// `part` is `record` or `state`, as in the script's header.
async fn read(core: &Core, queue: &str, kind: &str, id: JobId, part: &str) -> Result<Reply, Error> {
    let keys = core.keys.queue(queue);
    let script_keys = wire::keys(&keys, [keys.jobs(), keys.active(), keys.state()], [kind], &Set::ALL);
    core.call(&JOB, script_keys, vec![id.short().into(), part.into()]).await
}

/// The first value of the reply, or `None` if the job was removed since it was found.
fn record(reply: &Reply, id: JobId) -> Result<Option<&[u8]>, Error> {
    let record = reply.values().first().and_then(Value::as_bytes);
    Ok(Some(record.ok_or_else(|| corrupt(id))?).filter(|record| !record.is_empty()))
}

/// An error without the reply, because the reply has the payload.
fn corrupt(id: JobId) -> Error {
    Error::corrupt(format!("the reply about job {id}"))
}

/// record, entry of active, state, then the score in each set
fn decode(id: JobId, queue: &str, kind: &str, record: &Record, reply: &Reply) -> Result<JobView, Error> {
    let [_, active, state, scores @ ..] = reply.values() else { return Err(corrupt(id)) };
    let mut scores = Set::ALL.into_iter().zip(scores);
    let place = scores.find_map(|(set, score)| Some((set, score.as_f64()? as i64)));
    let (active, history) = (active.as_str().unwrap_or_default(), state.as_str().ok_or_else(|| corrupt(id))?);
    let stored = Stored { now: reply.now, place, active: &active, history: History::decode(&history)? };
    Ok(view(id, queue, kind, record, stored))
}

/// The parts of a job that are stored beside its record, at the instant `now` (Unix ms).
pub(crate) struct Stored<'a> {
    pub(crate) now: i64,
    /// The set that has the job, with its score there.
    pub(crate) place: Option<(Set, i64)>,
    /// Its entry of `active`.
    pub(crate) active: &'a str,
    /// The time of its last settlement, and its history.
    pub(crate) history: (Option<i64>, History),
}

pub(crate) fn view(id: JobId, queue: &str, kind: &str, record: &Record, stored: Stored) -> JobView {
    let Stored { now, place: found, active, history: (settled, history) } = stored;
    let state = found.map(|(set, score)| set.state(score, now));
    let holder = Holder::decode(active).map(|(_, holder)| holder);
    let holder = holder.filter(|_| state == Some(State::Active));
    let cancel_requested = holder.as_ref().is_some_and(|holder| holder.cancel_requested);
    let run = match found {
        Some((Set::Due, _)) => None,
        Some((Set::Lease, _)) => holder.map(|holder| holder.into_run(&history)),
        _ => history.last_run.clone(),
    };
    let due = match found {
        Some((Set::Due, due)) => Some(due),
        _ => run.as_ref().map(|run| run.due),
    };
    let is_finished = matches!(state, Some(State::Completed | State::Cancelled | State::Dead));
    let last_failed = history.failures.last();
    let failed_run = last_failed.map(|failure| &failure.run).filter(|_| !history.started_over);
    let last_run: Option<&Run> = run.as_ref().or(failed_run);
    JobView {
        id,
        kind: kind.to_owned(),
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
                traceparent: failure.run.trace.as_ref().map(TraceContext::traceparent),
            })
            .collect(),
        durability: record.durability,
        enqueued_by: None,
        traceparent: record.trace.as_ref().and_then(Trace::context).map(TraceContext::traceparent),
        version: None,
    }
}

fn timestamp(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}
