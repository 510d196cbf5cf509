//! Spans of storing jobs, with the attributes of OpenTelemetry's conventions for messaging (docs/traces.md).

use atode_config::traces::{self, KeyValue, NewSpan, Span, SpanKind, Trace};
use atode_queue::{Enqueued, Error, NewJob};

/// The attributes that all spans about jobs of a queue have. `operation` is atode's word, `operation_type` that of the
/// conventions.
pub fn messaging(
    operation: &'static str,
    operation_type: &'static str,
    queue: Option<&str>,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system", "atode"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation_type),
    ];
    attributes.extend(queue.map(|queue| KeyValue::new("messaging.destination.name", queue.to_owned())));
    attributes
}

/// Starts the span of storing one job, and lets the job carry it. Without a span the job carries its cause.
pub fn enqueue_span(job: NewJob, cause: Option<Trace>) -> (NewJob, Option<Span>) {
    let span = traces::records(cause.as_ref()).then(|| {
        let mut attributes = messaging("enqueue", "create", Some(&job.queue));
        attributes.extend([
            KeyValue::new("messaging.message.id", job.id.to_string()),
            KeyValue::new("messaging.message.envelope.size", job.record.len() as i64),
            KeyValue::new("messaging.atode.kind", job.kind.to_string()),
        ]);
        start(format!("enqueue {}", job.queue), cause.as_ref(), attributes)
    });
    let span = span.flatten();
    (job.caused_by(traces::trace_of(span.as_ref(), cause)), span)
}

/// Starts the span of storing this many jobs, and returns the trace that each of them carries. `queue` is set if it is
/// the same for all.
pub fn batch_span(jobs: usize, queue: Option<&str>, cause: Option<Trace>) -> (Option<Span>, Option<Trace>) {
    let span = traces::records(cause.as_ref()).then(|| {
        let mut attributes = messaging("enqueue", "send", queue);
        attributes.push(KeyValue::new("messaging.batch.message_count", jobs as i64));
        let name = queue.map_or_else(|| "enqueue".to_owned(), |queue| format!("enqueue {queue}"));
        start(name, cause.as_ref(), attributes)
    });
    let span = span.flatten();
    let trace = traces::trace_of(span.as_ref(), cause);
    (span, trace)
}

/// Ends the span of storing a job.
pub fn end_enqueue_span(span: Option<Span>, stored: &Result<Enqueued, Error>) {
    let Some(mut span) = span else { return };
    match stored {
        Ok(Enqueued::Created { .. }) => {}
        Ok(Enqueued::Duplicate(id)) => span.set("messaging.atode.duplicate_of", id.to_string()),
        Ok(Enqueued::Conflict(_)) => {
            span.fail("idempotency_key_reused", "the idempotency key was used before");
        }
        Err(error) => span.fail(error_type(error), &error.to_string()),
    }
}

fn error_type(error: &Error) -> &'static str {
    match error {
        Error::NotSent(_) => "not_sent",
        Error::Unknown(_) => "outcome_unknown",
        Error::Refused { .. } => "refused",
        Error::Overloaded => "overloaded",
        Error::NotDurable(_) => "not_durable",
        Error::NotYetOnDisk(_) => "not_yet_on_disk",
        Error::Corrupt(_) => "corrupt",
    }
}

fn start(name: String, cause: Option<&Trace>, attributes: Vec<KeyValue>) -> Option<Span> {
    Span::start(NewSpan {
        name: name.into(),
        kind: SpanKind::Producer,
        parent: cause.and_then(Trace::context),
        links: Vec::new(),
        attributes,
    })
}
