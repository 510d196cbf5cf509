//! The ids of the trace and the span that a line belongs to, at the top level of a line of JSON, where tools look for
//! them. They are fields of a span of the log.

use std::fmt;

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::Context,
    registry::LookupSpan,
};

/// Keeps the ids of each span that has some.
pub(super) struct TraceIds;

/// An event in JSON, with the ids of the innermost span that has some.
pub(super) struct Traced<F>(pub(super) F);

#[derive(Clone, Default)]
struct Ids {
    trace: String,
    span: String,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceIds {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut ids = Ids::default();
        attributes.record(&mut ids);
        if !ids.trace.is_empty()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(ids);
        }
    }
}

impl Visit for Ids {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let id = match field.name() {
            "trace_id" => &mut self.trace,
            "span_id" => &mut self.span,
            _ => return,
        };
        // A handler may have spans of its own, with any text.
        *id = Some(format!("{value:?}")).filter(|text| is_hex(text)).unwrap_or_default();
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut spans = context.event_scope().into_iter().flatten();
        let Some(Ids { trace, span }) = spans.find_map(|span| span.extensions().get::<Ids>().cloned()) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let fields = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        writeln!(writer, r#"{fields},"trace_id":"{trace}","span_id":"{span}"}}"#)
    }
}
