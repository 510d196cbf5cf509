//! Queues as the API and the command line show them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use schemars::JsonSchema;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::state::State;
use crate::scripts::COUNTS;
use crate::wire::{self, Reply};
use crate::workers::registration::Registration;

/// A queue at one instant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    pub name: String,
    pub paused: bool,
    pub counts: Counts,
    /// Time since the earliest due time of a ready job, shown as `1.25s`.
    pub oldest_ready_age: Option<Age>,
    /// Number of transitions in the last full minute.
    pub rates: Rates,
    pub kinds: Vec<KindCounts>,
    /// Number of live workers that claim from it. Unset if they were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_workers: Option<usize>,
}

impl QueueView {
    /// Counts the workers that claim from it.
    #[must_use]
    pub fn with_workers(self, workers: &[Registration]) -> Self {
        let live = workers.iter().filter(|worker| worker.claims_from(&self.name)).count();
        QueueView { live_workers: Some(live), ..self }
    }
}

/// A length of time, shown in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("pattern" = r"^[0-9]+(\.[0-9]+)?s$"))]
pub struct Age(#[schemars(with = "String")] pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        let age = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        age.map(Age).ok_or_else(|| de::Error::custom("expected a number of seconds such as 1.25s"))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub scheduled: u64,
    pub ready: u64,
    pub active: u64,
    pub completed: u64,
    pub dead: u64,
    pub cancelled: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KindCounts {
    pub kind: String,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
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

pub(crate) async fn queue(core: &Core, queue: &str) -> Result<QueueView, Error> {
    let keys = core.keys.queue(queue);
    let kinds = core.kinds_of(queue).await?;
    let script_keys = wire::keys(&keys, [keys.paused(), keys.stats()], &kinds, &Set::ALL);
    let reply = core.call(&COUNTS, script_keys, Vec::new()).await?;
    decode(queue, &kinds, &reply).ok_or_else(|| reply.corrupt())
}

/// paused, stats, then seven numbers for each kind
fn decode(queue: &str, kinds: &[Arc<str>], reply: &Reply) -> Option<QueueView> {
    let [paused, stats, ..] = reply.values() else { return None };
    let mut view = QueueView {
        name: queue.to_owned(),
        paused: paused.as_i64()? == 1,
        counts: Counts::default(),
        oldest_ready_age: None,
        rates: decode_rates(stats, reply.now / 60_000 - 1).unwrap_or_default(),
        kinds: Vec::with_capacity(kinds.len()),
        live_workers: None,
    };
    let mut oldest = reply.now;
    for (kind, row) in kinds.iter().zip(reply.rows(2)) {
        let [waiting, ready, earliest, active, completed, cancelled, dead] = row;
        if let Some(earliest) = wire::instant(earliest) {
            oldest = oldest.min(earliest);
        }
        let counts = Counts {
            scheduled: waiting.as_u64()?.saturating_sub(ready.as_u64()?),
            ready: ready.as_u64()?,
            active: active.as_u64()?,
            completed: completed.as_u64()?,
            cancelled: cancelled.as_u64()?,
            dead: dead.as_u64()?,
        };
        view.counts.add(counts);
        view.kinds.push(KindCounts { kind: kind.to_string(), counts });
    }
    if view.counts.ready > 0 {
        view.oldest_ready_age = Some(Age(Duration::from_millis((reply.now - oldest).max(0) as u64)));
    }
    Some(view)
}

/// `stats` has field and number in turns; a field is `<minute> <counter>`.
fn decode_rates(stats: &Value, minute: i64) -> Option<Rates> {
    let Value::Array(stats) = stats else { return None };
    let fields = stats.as_chunks().0.iter().filter_map(|[field, n]| Some((field.as_string()?, n.as_u64()?)));
    let prefix = format!("{minute} ");
    let rates = fields.filter_map(|(field, n)| Some((field.strip_prefix(&prefix)?.to_owned(), n)));
    Rates::deserialize(MapDeserializer::<_, de::value::Error>::new(rates)).ok()
}

impl Counts {
    /// The number of jobs in this state.
    pub fn of(self, state: State) -> u64 {
        match state {
            State::Scheduled => self.scheduled,
            State::Ready => self.ready,
            State::Active => self.active,
            State::Completed => self.completed,
            State::Dead => self.dead,
            State::Cancelled => self.cancelled,
        }
    }

    /// The number of jobs in all states.
    pub fn total(self) -> u64 {
        self.scheduled + self.ready + self.active + self.completed + self.dead + self.cancelled
    }

    fn add(&mut self, other: Counts) {
        self.scheduled += other.scheduled;
        self.ready += other.ready;
        self.active += other.active;
        self.completed += other.completed;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
    }
}
