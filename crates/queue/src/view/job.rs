//! Looking at jobs and queues. What these return is what the API and the command line print.

use std::collections::BTreeSet;
use std::sync::Arc;

use fred::interfaces::{HashesInterface, SetsInterface};
use fred::types::{Key, Value};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::JobId;
use crate::model::instant;
use crate::model::record::{Durability, FailureCause, History, Record, Run, WorkerRef};
use crate::scripts::{COUNTS, INSPECT};
use crate::transitions::reap::Started;
use crate::workers::registration::Registration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Scheduled,
    Ready,
    Active,
    Completed,
    Dead,
    Cancelled,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Scheduled => "scheduled",
            State::Ready => "ready",
            State::Active => "active",
            State::Completed => "completed",
            State::Dead => "dead",
            State::Cancelled => "cancelled",
        })
    }
}

/// A job as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    /// None: finished, and no longer kept.
    pub state: Option<State>,
    pub payload: Box<RawValue>,
    /// The last or running attempt; 0 before the first.
    pub attempt: u32,
    /// None: the kind's own, for whoever knows the kind to fill in.
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
    /// The last runs that did not succeed, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Who runs it, or ran it last.
    pub worker: Option<Arc<WorkerRef>>,
    /// It is active, and somebody asked to cancel it.
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
    /// The job was redriven after this attempt: those that follow are counted from 1 again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redriven: bool,
}

/// A queue as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct QueueView {
    pub name: String,
    pub paused: bool,
    pub counts: Counts,
    /// How long the job that has waited longest beyond its due time has done so, such as `1.25s`.
    pub oldest_ready_age: Option<String>,
    /// Transitions in the last full minute.
    pub rates: Rates,
    pub kinds: Vec<KindCounts>,
    /// Live workers that claim from it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_workers: Option<usize>,
}

impl QueueView {
    /// With the number of those workers that claim from it.
    #[must_use]
    pub fn with_workers(self, workers: &[Registration]) -> Self {
        let live = workers.iter().filter(|worker| worker.claims_from(&self.name)).count();
        QueueView { live_workers: Some(live), ..self }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub scheduled: u64,
    pub ready: u64,
    pub active: u64,
    pub completed: u64,
    pub dead: u64,
    pub cancelled: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct KindCounts {
    pub kind: String,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Rates {
    pub enqueued: u64,
    pub completed: u64,
    pub failed: u64,
    pub reaped: u64,
    pub buried: u64,
    pub cancelled: u64,
    pub redriven: u64,
    pub deleted: u64,
}

impl JobView {
    pub fn is_finished(&self) -> bool {
        !matches!(self.state, Some(State::Scheduled | State::Ready | State::Active))
    }
}

impl Client {
    /// Looks for a job in these queues.
    pub async fn job(&self, queues: &[Arc<str>], id: JobId) -> Result<Option<JobView>, Error> {
        let redis = self.connection().reader()?;
        let short = id.short();
        let pipeline = redis.pipeline();
        for queue in queues {
            let _: () = pipeline.hget(self.keys().queue(queue).jobs(), &short).await?;
        }
        let records: Vec<Option<bytes::Bytes>> =
            if queues.is_empty() { Vec::new() } else { pipeline.all().await? };
        for (queue, record) in queues.iter().zip(records) {
            if let Some(record) = record {
                return self.inspect(queue, id, &record).await;
            }
        }
        Ok(None)
    }

    /// Counts of one queue.
    pub async fn queue(&self, queue: &str) -> Result<QueueView, Error> {
        let keys = self.keys().queue(queue);
        let kinds = self.kinds_of(queue).await?;
        let mut script_keys: Vec<Key> = vec![keys.paused().into(), keys.stats().into()];
        for kind in &kinds {
            script_keys.extend(Set::ALL.map(|set| Key::from(keys.set(kind, set))));
        }
        let reply = self.call(&COUNTS, script_keys, Vec::new()).await?;
        decode_counts(queue, &kinds, &reply).ok_or_else(|| Error::corrupt("the reply of counts"))
    }

    /// Names of all queues that ever held a job here.
    pub async fn queue_names(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.connection().reader()?.smembers(self.keys().queues()).await?)
    }

    /// The kinds that have jobs in a queue, or had.
    pub(crate) async fn kinds_of(&self, queue: &str) -> Result<Vec<Arc<str>>, Error> {
        let kinds: BTreeSet<String> =
            self.connection().reader()?.smembers(self.keys().queue(queue).kinds()).await?;
        Ok(kinds.into_iter().map(Arc::from).collect())
    }

    async fn inspect(&self, queue: &str, id: JobId, record: &[u8]) -> Result<Option<JobView>, Error> {
        let kind = Record::decode(record)?.kind;
        let keys = self.keys().queue(queue);
        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.active().into(), keys.state().into()];
        script_keys.extend(Set::ALL.map(|set| Key::from(keys.set(&kind, set))));
        let reply = self.call(&INSPECT, script_keys, vec![id.short().into()]).await?;
        decode_job(queue, id, &reply)
    }
}

/// now, record, entry of active, state, then the scores in due, lease, done, cancelled, dead
fn decode_job(queue: &str, id: JobId, reply: &[Value]) -> Result<Option<JobView>, Error> {
    let corrupt = || Error::corrupt(format!("the reply of inspect for job {id}"));
    let [now, record, active, state, scores @ ..] = reply else { return Err(corrupt()) };
    let record = record.as_bytes().ok_or_else(corrupt)?;
    if record.is_empty() {
        return Ok(None); // removed between the two looks
    }
    let record = Record::decode(record)?;
    let now = now.as_i64().ok_or_else(corrupt)?;
    let (settled, history) = History::decode(&state.as_str().ok_or_else(corrupt)?)?;
    let score = |n: usize| scores.get(n).and_then(Value::as_f64).map(|score| score as i64);
    let started = Started::decode(&active.as_str().unwrap_or_default()).map(|(_, started)| started);
    let cancel_requested = score(1).is_some() && started.as_ref().is_some_and(|started| started.unwanted);
    let running = started.map(|started| started.into_run(&history));

    let (state, due, run) = if let Some(due) = score(0) {
        let state = if due <= now { State::Ready } else { State::Scheduled };
        (Some(state), Some(due), None)
    } else if score(1).is_some() {
        (Some(State::Active), running.as_ref().map(|run| run.due), running)
    } else {
        let finished = [State::Completed, State::Cancelled, State::Dead];
        let state = (2..5).find(|set| score(*set).is_some()).map(|set| finished[set - 2]);
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

/// now, paused, stats, then seven for each kind
fn decode_counts(queue: &str, kinds: &[Arc<str>], reply: &[Value]) -> Option<QueueView> {
    let [now, paused, stats, counts @ ..] = reply else { return None };
    let now = now.as_i64()?;
    let mut view = QueueView {
        name: queue.to_owned(),
        paused: paused.as_i64()? == 1,
        counts: Counts::default(),
        oldest_ready_age: None,
        rates: decode_rates(stats, now / 60_000 - 1),
        kinds: Vec::with_capacity(kinds.len()),
        live_workers: None,
    };
    let mut oldest = now;
    for (kind, counts) in kinds.iter().zip(counts.chunks_exact(7)) {
        let number = |n: usize| counts[n].as_u64();
        let earliest = counts[2].as_i64()?;
        if earliest >= 0 {
            oldest = oldest.min(earliest);
        }
        let counts = Counts {
            scheduled: number(0)?.saturating_sub(number(1)?),
            ready: number(1)?,
            active: number(3)?,
            completed: number(4)?,
            cancelled: number(5)?,
            dead: number(6)?,
        };
        view.counts.add(counts);
        view.kinds.push(KindCounts { kind: kind.to_string(), counts });
    }
    if view.counts.ready > 0 {
        view.oldest_ready_age = Some(format!("{}s", (now - oldest) as f64 / 1_000.0));
    }
    Some(view)
}

fn decode_rates(stats: &Value, minute: i64) -> Rates {
    let Value::Array(stats) = stats else { return Rates::default() };
    let rate = |name: &str| {
        let field = format!("{minute} {name}");
        let pair = stats.chunks_exact(2).find(|pair| pair[0].as_str().is_some_and(|known| known == field));
        pair.and_then(|pair| pair[1].as_u64()).unwrap_or_default()
    };
    Rates {
        enqueued: rate("enqueued"),
        completed: rate("completed"),
        failed: rate("failed"),
        reaped: rate("reaped"),
        buried: rate("buried"),
        cancelled: rate("cancelled"),
        redriven: rate("redriven"),
        deleted: rate("deleted"),
    }
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.scheduled += other.scheduled;
        self.ready += other.ready;
        self.active += other.active;
        self.completed += other.completed;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
    }
}

fn timestamp(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}
