//! Traces (docs/traces.md): the context that requests bring and jobs carry, and the export of spans by OTLP. Only this
//! folder knows OpenTelemetry.

mod collector;
mod context;
pub(crate) mod export;
pub(crate) mod running;
mod span;

pub use opentelemetry::{KeyValue, trace::SpanKind};

pub use self::{
    context::{Trace, TraceContext},
    running::{StartTracesError, start},
    span::{NewSpan, Span, continues_the_trace, is_on, records, trace_of},
};
