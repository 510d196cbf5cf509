//! A checked request, and the job as its caller sees it.

use atode_config::traces::{Trace, TraceContext};
use atode_queue::{Due, JobId, JobView, NewJob, State};
use jiff::Timestamp;
use serde_json::value::RawValue;

/// A job ready to be stored, with what its caller is told once it is.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    pub job: NewJob,
    pub payload: &'a RawValue,
    pub max_retries: u32,
}

/// The refusal of a job whose idempotency key belongs to job `id`.
pub fn key_reused(id: JobId) -> String {
    format!("this idempotency key was used for job {id}, with another body")
}

impl Prepared<'_> {
    /// The job, which carries this trace.
    #[must_use]
    pub fn caused_by(self, trace: Option<Trace>) -> Self {
        Prepared { job: self.job.caused_by(trace), ..self }
    }

    /// The job as it was stored at `now` (Redis' clock, Unix ms).
    pub fn stored(self, now: i64) -> JobView {
        let due = match self.job.due {
            Due::After(delay) => now + delay.as_millis() as i64,
            Due::At(at) => at,
        };
        let state = if due <= now { State::Ready } else { State::Scheduled };
        JobView { due_at: Timestamp::from_millisecond(due).ok(), ..self.view(self.job.id, Some(state)) }
    }

    /// A job that was stored earlier under the same idempotency key and has been removed since.
    pub fn removed(self, id: JobId) -> JobView {
        self.view(id, None)
    }

    fn view(&self, id: JobId, state: Option<State>) -> JobView {
        JobView {
            id,
            kind: self.job.kind.to_string(),
            queue: self.job.queue.to_string(),
            state,
            payload: self.payload.to_owned(),
            attempt: 0,
            max_retries: Some(self.max_retries),
            enqueued_at: id.made_at().and_then(|at| Timestamp::from_millisecond(at).ok()),
            due_at: None,
            started_at: None,
            finished_at: None,
            last_error: None,
            attempts: Vec::new(),
            worker: None,
            cancel_requested: false,
            durability: self.job.durability,
            enqueued_by: None,
            traceparent: self.job.trace.as_ref().and_then(Trace::context).map(TraceContext::traceparent),
            version: None,
        }
    }
}
