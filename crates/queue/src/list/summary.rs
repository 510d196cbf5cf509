//! A job as a list shows it.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::list::rows::Row;
use crate::list::selection::Source;
use crate::model::history::History;
use crate::model::id::JobId;
use crate::model::instant;
use crate::model::record::{Durability, Record};
use crate::model::run::WorkerRef;
use crate::model::state::State;
use crate::view::job::{self, JobView, Stored};

/// A job at one instant, without its attempts and without a large payload. Every other field is that of `GET
/// /v1/jobs/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    pub state: State,
    /// Unset if it is large (or cannot be read).
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub payload: Option<Box<RawValue>>,
    pub payload_bytes: usize,
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
    pub worker: Option<Arc<WorkerRef>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    pub durability: Option<Durability>,
    pub enqueued_by: Option<String>,
}

impl JobSummary {
    /// Unreadable parts of a broken job count as missing: one job must not hide all others.
    pub(crate) fn new(id: JobId, source: &Source, row: &Row) -> Option<Self> {
        let is_whole = row.record.len() == row.bytes;
        let payload: &[u8] = if is_whole { b"" } else { b"null" };
        let text = [&row.record[..], payload].concat();
        let record = Record::decode(&text).ok();
        let payload_bytes = match &record {
            Some(record) if is_whole => record.payload.get().len(),
            _ => row.bytes - row.record.len(),
        };
        let has_payload = is_whole && record.is_some();
        let history = History::decode(&row.state).unwrap_or_default();
        let place = Some((source.set, row.score as i64));
        let stored = Stored { now: row.now, place, active: &row.active, history };
        let record = record.unwrap_or_else(|| Record::new(RawValue::NULL));
        let job = job::view(id, &source.queue, &source.kind, &record, stored);
        Some(Self::of(job.state?, has_payload, payload_bytes, job))
    }

    fn of(state: State, has_payload: bool, payload_bytes: usize, job: JobView) -> Self {
        JobSummary {
            id: job.id,
            kind: job.kind,
            queue: job.queue,
            state,
            payload: has_payload.then_some(job.payload),
            payload_bytes,
            attempt: job.attempt,
            max_retries: job.max_retries,
            enqueued_at: job.enqueued_at,
            due_at: job.due_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            last_error: job.last_error,
            worker: job.worker,
            cancel_requested: job.cancel_requested,
            durability: job.durability,
            enqueued_by: job.enqueued_by,
        }
    }
}
