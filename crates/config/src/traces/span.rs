//! Spans that are being recorded.

use std::{borrow::Cow, time::Duration};

use opentelemetry::{
    Context, Key, KeyValue, Value,
    trace::{Link, Span as _, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace;

use super::{
    context::{Trace, TraceContext},
    running::running,
};
use crate::sections::Follow;

/// Bytes kept of the text of an error.
const MAX_ERROR: usize = 500;

/// A span that is recorded and ends when it is dropped. Its attributes are those of OpenTelemetry's semantic
/// conventions.
#[must_use = "a span ends when it is dropped"]
pub struct Span(Box<trace::Span>);

/// A span to be started.
pub struct NewSpan<'a> {
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    /// The span begins a trace of its own without one.
    pub parent: Option<&'a TraceContext>,
    /// Spans that caused this one, each with the relation between them.
    pub links: Vec<(&'a TraceContext, &'static str)>,
    pub attributes: Vec<KeyValue>,
}

/// True if this process exports spans.
pub fn is_on() -> bool {
    running().is_some()
}

/// True if a span that is caused by `cause` is recorded. The decision of the trace that it comes from applies. Without
/// one, `traces.sample_ratio` decides by chance.
pub fn records(cause: Option<&Trace>) -> bool {
    let Some(running) = running() else { return false };
    cause.map_or_else(|| rand::random::<f64>() < running.settings.sample_ratio, Trace::is_sampled)
}

/// The trace of what follows from `cause`: that of the span if there is one.
pub fn trace_of(span: Option<&Span>, cause: Option<Trace>) -> Option<Trace> {
    match (span, cause) {
        (Some(span), _) => Some(Trace::Span(span.context())),
        (None, None) if running().is_some() => Some(Trace::Unsampled),
        (None, cause) => cause,
    }
}

/// True if a run that starts this long after its job was stored continues the trace of the job (`traces.follow`).
pub fn continues_the_trace(age: Duration) -> bool {
    running().is_some_and(|running| {
        running.settings.follow == Follow::Parent && age <= running.settings.follow_within
    })
}

impl Span {
    /// Starts a span, if this process exports any. Ask [`records`] first.
    pub fn start(new: NewSpan<'_>) -> Option<Self> {
        let NewSpan { name, kind, parent, links, attributes } = new;
        let running = running()?;
        let links = links.into_iter().map(|(context, relation)| {
            Link::new(context.to_remote(), vec![KeyValue::new("messaging.atode.link", relation)], 0)
        });
        let builder = running
            .tracer
            .span_builder(name)
            .with_kind(kind)
            .with_links(links.collect())
            .with_attributes(attributes);
        let none = Context::new();
        let parent =
            parent.map_or_else(|| none.clone(), |parent| none.with_remote_span_context(parent.to_remote()));
        Some(Span(Box::new(running.tracer.build_with_context(builder, &parent))))
    }

    pub fn context(&self) -> TraceContext {
        self.0.span_context().into()
    }

    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.update_name(name);
    }

    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Marks the span as failed. `error_type` has few values, `error` is for people.
    pub fn fail(&mut self, error_type: impl Into<Value>, error: &str) {
        let mut end = error.len().min(MAX_ERROR);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        self.set("error.type", error_type);
        self.0.set_status(Status::error(error[..end].to_owned()));
    }
}
