//! The trace of an attempt (docs/traces.md): the span of the run, and the span of settling its job.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atode_config::traces::{self, KeyValue, NewSpan, Span, SpanKind, Trace, TraceContext};
use atode_jobs::messaging;
use atode_queue::{FailureCause, History, JobId, Run, Settlement, Verdict};

/// The trace of an attempt in a process that exports spans.
pub(crate) struct Attempt {
    /// The trace of the run, and of everything that it causes.
    pub(crate) trace: Option<Trace>,
    /// The span of the run, if it is recorded.
    pub(crate) recorded: Option<TraceContext>,
    /// Set until the run has ended.
    span: Mutex<Option<Span>>,
}

/// A run, as its span describes it.
pub(crate) struct Described<'a> {
    pub(crate) id: JobId,
    pub(crate) queue: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) run: &'a Run,
    /// Bytes of the payload.
    pub(crate) payload: usize,
    pub(crate) history: Option<&'a History>,
}

impl Attempt {
    /// Begins the attempt of a job that has its slot, and carries this trace. Its span is linked to the span that
    /// stored the job and to the attempt that failed last. It begins a trace of its own, unless the run starts so soon
    /// that it continues the trace of the job.
    pub(crate) fn begin(run: &Described<'_>, carried: Option<&Trace>) -> Self {
        let cause = carried.and_then(Trace::context);
        let span = traces::records(carried).then(|| {
            let parent = cause.filter(|_| traces::continues_the_trace(run.age()));
            let enqueue = cause.filter(|_| parent.is_none()).map(|context| (context, "enqueue"));
            let before = run.history.and_then(|history| history.failures.last()?.run.trace.as_ref());
            let before = before.map(|context| (context, "attempt_before"));
            Span::start(NewSpan {
                name: format!("process {}", run.queue).into(),
                kind: SpanKind::Consumer,
                parent,
                links: enqueue.into_iter().chain(before).collect(),
                attributes: run.attributes(),
            })
        });
        let span = span.flatten();
        Attempt {
            trace: traces::trace_of(span.as_ref(), carried.cloned()),
            recorded: span.as_ref().map(Span::context),
            span: Mutex::new(span),
        }
    }

    pub(crate) fn fail(&self, cause: FailureCause, error: &str) {
        if let Some(span) = &mut *self.span() {
            span.fail(error_type(cause), error);
        }
    }

    /// Ends the span of the run. The returned span of its settlement ends with the verdict of Redis.
    pub(crate) fn end(&self, settlement: &Settlement) -> Option<Span> {
        let mut span = self.span().take()?;
        span.set("messaging.atode.outcome", settlement.name());
        let lease = settlement.lease();
        let mut attributes = messaging(settlement.name(), "settle", Some(lease.queue()));
        attributes.push(KeyValue::new("messaging.message.id", lease.id().to_string()));
        Span::start(NewSpan {
            name: format!("{} {}", settlement.name(), lease.queue()).into(),
            kind: SpanKind::Client,
            parent: self.recorded.as_ref(),
            links: Vec::new(),
            attributes,
        })
    }

    /// Ends the span of a run whose job went on without it.
    pub(crate) fn lose(&self) {
        if let Some(mut span) = self.span().take() {
            span.set("messaging.atode.outcome", "lost");
            span.fail("lease_lost", "the lease was lost, and the job runs elsewhere");
        }
    }

    fn span(&self) -> MutexGuard<'_, Option<Span>> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the span of a settlement.
pub(crate) fn settled(mut span: Span, verdict: Verdict) {
    match verdict {
        Verdict::Done | Verdict::Already => {}
        Verdict::CancelRequested => span.set("messaging.atode.cancelled", true),
        Verdict::Stale => span.fail("stale", "the lease had expired and another worker took the job"),
    }
}

impl Described<'_> {
    /// How long ago the job was stored.
    fn age(&self) -> Duration {
        let made = self.id.made_at().unwrap_or_default();
        Duration::from_millis(self.run.started.saturating_sub(made).max(0) as u64)
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = messaging("process", "process", Some(self.queue));
        attributes.extend([
            KeyValue::new("messaging.message.id", self.id.to_string()),
            KeyValue::new("messaging.message.body.size", self.payload as i64),
            KeyValue::new("messaging.client.id", self.run.worker.id.to_string()),
            KeyValue::new("messaging.atode.kind", self.kind.to_owned()),
            KeyValue::new("messaging.atode.attempt", i64::from(self.run.attempt)),
            KeyValue::new("messaging.atode.late_ms", self.run.started.saturating_sub(self.run.due).max(0)),
        ]);
        attributes
    }
}

fn error_type(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Error => "error",
        FailureCause::Permanent => "permanent",
        FailureCause::Timeout => "timeout",
        FailureCause::Panic => "panic",
        FailureCause::Crash => "crash",
        FailureCause::LeaseLost => "lease_lost",
        FailureCause::Shutdown => "shutdown",
        FailureCause::Unknown => "_OTHER",
    }
}
