//! A job ready to be stored. Its record holds only what the request sets itself, so that a waiting job follows later
//! changes of its kind.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Due, JobId, NewJob, Record};

/// `delay` is that of the kind, `due` the due time of the request, and `record` its payload and other options.
pub(crate) fn new_job(
    id: JobId,
    queue: &Arc<str>,
    kind: &Arc<str>,
    delay: Duration,
    due: Option<Due>,
    mut record: Record<'_>,
) -> NewJob {
    match due {
        Some(Due::After(delay)) => record.delay = Some(delay.as_millis() as u64),
        Some(Due::At(at)) => record.run_at = Some(at),
        None => {}
    }
    NewJob::new(id, queue, kind, &record, due.unwrap_or(Due::After(delay)))
}
