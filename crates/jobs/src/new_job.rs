//! A job ready to be stored: its kind, its payload, and what the request decides itself.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Due, Durability, Idempotency, JobId, NewJob, Record};
use serde_json::value::RawValue;

/// The options that a request sets itself. Its kind decides the rest.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) due: Option<Due>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) durability: Option<Durability>,
    pub(crate) idempotency: Option<Idempotency>,
}

/// `delay` is the kind's own. Only the options are stored, so that a job follows later changes of its kind.
pub(crate) fn new_job(
    id: JobId,
    kind: &Arc<str>,
    queue: &Arc<str>,
    payload: &RawValue,
    delay: Duration,
    options: Options,
) -> NewJob {
    let (own_delay, run_at) = match options.due {
        Some(Due::After(delay)) => (Some(delay.as_millis() as u64), None),
        Some(Due::At(at)) => (None, Some(at)),
        None => (None, None),
    };
    let record = Record {
        payload,
        delay: own_delay,
        run_at,
        max_retries: options.max_retries,
        durability: options.durability,
    };
    let due = options.due.unwrap_or(Due::After(delay));
    NewJob { idempotency: options.idempotency, ..NewJob::new(id, queue, kind, &record, due) }
}
